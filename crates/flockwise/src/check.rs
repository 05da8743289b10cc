//! Placeholder until the command is written.
pub(crate) fn check(_: &crate::args::CheckArguments) -> Result<(), crate::exit::Failed> {
    Err(crate::exit::Failed::running("not there yet"))
}
