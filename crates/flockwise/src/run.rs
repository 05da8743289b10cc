//! Placeholder until the command is written.
pub(crate) fn run(_: &crate::args::RunArguments) -> Result<(), crate::exit::Failed> {
    Err(crate::exit::Failed::running("not there yet"))
}
