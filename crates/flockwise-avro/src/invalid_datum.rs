//! Why bytes are not data of a schema.

/// Bytes that are not exactly one datum of the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}: {fault}")]
pub struct InvalidDatum {
    /// Where the fault was found: the number of bytes before it.
    pub offset: usize,
    /// What is wrong there.
    pub fault: Fault,
}

/// A fault in Avro data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The datum is not complete.
    #[error("the value ends in the middle of a datum")]
    End,
    /// An integer of more than ten bytes.
    #[error("an integer has more than 64 bits")]
    Integer,
    /// A length that is negative or exceeds the rest of the value.
    #[error("length {0} is negative or exceeds the rest of the value")]
    Length(i64),
    /// A boolean that is neither 0 nor 1.
    #[error("a boolean is {0}, expected 0 or 1")]
    Boolean(u8),
    /// A union that selects none of its branches.
    #[error("a union selects branch {0}, which the schema does not have")]
    Branch(i64),
    /// An enum that selects none of its symbols.
    #[error("an enum selects symbol {0}, which the schema does not have")]
    Symbol(i64),
    /// A wanted text is not UTF-8.
    #[error("a text is not UTF-8")]
    NotText,
    /// Records, arrays, maps and unions are nested too deeply.
    #[error("values are nested more than {} levels deep", crate::cursor::DEEPEST)]
    TooDeep,
    /// Arrays and maps have too many elements.
    #[error(
        "arrays and maps have more elements than the value has bytes, and {} more",
        crate::cursor::MOST_EMPTY_ELEMENTS
    )]
    TooMany,
    /// Bytes follow the datum.
    #[error("{0} bytes follow the datum: it was probably written with another schema")]
    Rest(usize),
}
