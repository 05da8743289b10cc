//! The epochs of transactional producers, by which a new one fences an earlier one of the same name.

use std::collections::HashMap;

use flockwise_runtime::broker::Failure;

/// The epoch of the current producer of each name.
#[derive(Debug, Default)]
pub struct ProducerEpochs(HashMap<String, u64>);

impl ProducerEpochs {
    /// Registers a new producer of this name and returns its epoch. Fences the previous one.
    pub fn begin(&mut self, name: &str) -> u64 {
        let epoch = self.0.entry(name.to_owned()).or_default();
        *epoch += 1;
        *epoch
    }

    /// Whether a producer is fenced.
    #[must_use]
    pub fn is_fenced(&self, name: &str, epoch: u64) -> bool {
        self.0.get(name) != Some(&epoch)
    }

    /// Fails if a producer is fenced.
    ///
    /// # Errors
    /// [`Failure::Fenced`].
    pub fn require_unfenced(&self, name: &str, epoch: u64) -> Result<(), Failure> {
        if self.is_fenced(name, epoch) {
            return Err(Failure::Fenced(format!(
                "member {name} was fenced by a newer member of the same name"
            )));
        }
        Ok(())
    }
}
