//! A customer, described for a query.

use crate::customer_view::CustomerView;
use crate::explain::Explanation;

/// A customer as of the task's time, explained.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomerDescription {
    /// The customer's features, segment and distances.
    pub view: CustomerView,
    /// Why the customer is in the segment; `None` if the customer has no segment of this version.
    pub explanation: Option<Explanation>,
    /// Ids of other customers of the same segment and task, the most typical first.
    pub typical_members: Vec<String>,
}
