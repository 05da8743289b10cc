//! The minimum permissions of a pipeline, as `kafka-acls.sh` commands.

use flockwise_config::Config;

/// One command per resource. Comment lines start with `#`.
pub(crate) fn lines(config: &Config, principal: &str) -> Vec<String> {
    let Config { app, kafka, .. } = config;
    let add = format!(
        "kafka-acls.sh --bootstrap-server {} --add --allow-principal {}",
        quoted(&kafka.bootstrap_servers),
        quoted(principal)
    );
    let mut lines = vec![format!("# permissions of pipeline {app}")];
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
        "# only if the pipeline creates its own topics; otherwise somebody with this permission runs flockwise topics --apply".to_owned(),
        format!("{add} --operation Create {prefixed}"),
        "# lets run and check read the settings of its topics, and topics --apply correct them".to_owned(),
        format!("{add} --operation DescribeConfigs --operation AlterConfigs {prefixed}"),
    ]);
    lines
}

/// Quotes `word` for a POSIX shell, if it needs quotes.
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
