//! The fewest permissions that a pipeline needs, as lines for `kafka-acls.sh`.

use flockwise_config::Config;

/// A line for each resource; comments begin with `#`.
pub(crate) fn lines(config: &Config, principal: &str) -> Vec<String> {
    let Config { app, kafka, .. } = config;
    let add = format!(
        "kafka-acls.sh --bootstrap-server {} --add --allow-principal {}",
        quoted(&kafka.bootstrap_servers),
        quoted(principal)
    );
    let mut lines = vec![format!("# what pipeline {app} needs")];
    lines.extend(
        config
            .inputs
            .iter()
            .map(|input| format!("{add} --operation Read --topic {}", input.topic)),
    );
    let prefixed = format!("--resource-pattern-type prefixed --topic {app}-");
    lines.extend([
        format!(
            "{add} --operation Read --operation Write --operation Describe --operation Delete {prefixed}"
        ),
        format!("{add} --operation Read --group {app}"),
        format!(
            "{add} --operation Write --operation Describe --resource-pattern-type prefixed --transactional-id {app}-"
        ),
        "# where it makes its topics itself (else: flockwise topics --apply, by somebody who may)".to_owned(),
        format!("{add} --operation Create {prefixed}"),
        "# so that run and check see the settings of its topics, and topics --apply may mend them".to_owned(),
        format!("{add} --operation DescribeConfigs --operation AlterConfigs {prefixed}"),
    ]);
    lines
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || ":.,_-/=@".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_resource_gets_the_operations_that_it_needs() {
        let toml = "app = \"shop\"\n[kafka]\nbootstrap_servers = \"b:9092\"\n[[input]]\ntopic = \"orders\"\n\
                    [[feature]]\nname = \"n\"\naggregate = \"count\"\nlifetime = true\n";
        let config = Config::parse(toml).unwrap();
        let lines = lines(&config, "User:CN=a b");
        let add = "kafka-acls.sh --bootstrap-server b:9092 --add --allow-principal 'User:CN=a b'";
        assert_eq!(lines[1], format!("{add} --operation Read --topic orders"));
        assert_eq!(lines[3], format!("{add} --operation Read --group shop"));
        assert!(
            lines[4].ends_with("prefixed --transactional-id shop-"),
            "{lines:?}"
        );
    }
}
