//! `[kafka]`, `[model]`, `[decision]`, `[sweep]`, `[time]`, `[state]`, `[http]`, `[report]`

use flockwise_config::Config;

use super::{check, sections};

#[test]
fn kafka() {
    for (lines, expected) in [
        (
            "bootstrap_servers = \"\"",
            "kafka.bootstrap_servers: is empty; give a text or leave the key out",
        ),
        (
            "bootstrapServers = \"a:1\"",
            "unknown key `kafka.bootstrapServers`: did you mean `bootstrap_servers`?",
        ),
        (
            "bootstrap_servers = [\"a:1\"]",
            "kafka.bootstrap_servers: found a list, expected a text in quotes",
        ),
        (
            "delivery = \"at_least_once\"",
            "kafka.delivery: \"at_least_once\" is not supported yet; give \"exactly_once\" or leave the key out",
        ),
        (
            "delivery = \"exactlyonce\"",
            "kafka.delivery: found \"exactlyonce\"; did you mean `exactly_once`?",
        ),
        (
            "commit_interval = 100",
            "kafka.commit_interval: found the number 100, expected a duration in quotes, such as \"30s\", \"1h\" or \"30d\"",
        ),
        (
            "commit_interval = \"0ms\"",
            "kafka.commit_interval: found \"0ms\", expected a duration above zero",
        ),
        (
            "commit_interval = \"1m\"",
            "kafka.commit_interval: found \"1m\", expected at most \"30s\": brokers abort transactions that stay open for too long",
        ),
        (
            "lost_records = \"skp\"",
            "kafka.lost_records: found \"skp\"; did you mean `skip`?",
        ),
        (
            "lost_records = true",
            "kafka.lost_records: found true, expected one of stop, skip",
        ),
        (
            "properties = { \"auto.offset.reset\" = \"earliest\" }",
            "kafka.properties.\"auto.offset.reset\": cannot be set here: set start of each [[input]], and \
             lost_records under [kafka] for records that are deleted later",
        ),
        (
            "\"security.protocol\" = \"SSL\"",
            "unknown key `kafka.\"security.protocol\"`: properties of librdkafka belong under [kafka.properties]",
        ),
        (
            "shards = 2",
            "unknown key `kafka.shards`: it belongs at the top of the file, above the first [section]",
        ),
        (
            "properties = { \"group.id\" = \"x\", \"isolation.level\" = \"read_uncommitted\" }",
            "kafka.properties.\"group.id\": cannot be set here: set app at the top of the file\n\
             kafka.properties.\"isolation.level\": cannot be set here: Flockwise sets it for exactly-once processing",
        ),
        (
            "properties = { log_level = 7 }",
            "kafka.properties.log_level: cannot be set here: it is the environment variable RUST_LOG",
        ),
        (
            "properties = { \"sasl.password\" = [\"secret\"] }",
            "kafka.properties.\"sasl.password\": found a list, expected a text, a number, true or false",
        ),
        (
            "properties = 3",
            "kafka.properties: found the number 3, expected a table",
        ),
    ] {
        check(&sections(&format!("[kafka]\n{lines}")), expected);
    }
}

#[test]
fn model() {
    for (lines, expected) in [
        (
            "k = 0",
            "model.k: found the number 0, expected a whole number from 1 to 1024, or { min = 8, max = 32 }",
        ),
        (
            "k = \"8\"",
            "model.k: found \"8\", expected a whole number from 1 to 1024, or { min = 8, max = 32 }",
        ),
        (
            "k = { min = 9, max = 8 }",
            "model.k: min 9 is above max 8; swap them",
        ),
        (
            "k = { min = 0 }",
            "model.k.min: found the number 0, expected a whole number from 1 to 1024",
        ),
        (
            "k = { most = 9 }",
            "unknown key `model.k.most`: expected one of min, max",
        ),
        (
            "half_life = \"1 month\"",
            "model.half_life: found \"1 month\": months and years differ in length; give it in days, such as 30d or 365d",
        ),
        (
            "half_life = \"1.5d\"",
            "model.half_life: found \"1.5d\", expected a whole number and a unit: 100ms, 30s, 10m, 1h, 30d or 2w",
        ),
        (
            "half_life = \"99999d\"",
            "model.half_life: found \"99999d\", expected at most a hundred years (36525d)",
        ),
        (
            "warm_up = 2000",
            "model.warm_up: found the number 2000, expected a table, written [model.warm_up]",
        ),
        (
            "warm_up = { customers = 0, time = \"x\", clients = 1 }",
            "model.warm_up.customers: found the number 0, expected a whole number from 1 to 10000000\n\
             model.warm_up.time: found \"x\", expected a whole number and a unit: 100ms, 30s, 10m, 1h, 30d or 2w\n\
             unknown key `model.warm_up.clients`: expected one of customers, time",
        ),
        (
            "k = 20\nwarm_up = { customers = 19 }",
            "model.warm_up: 19 customers cannot make the 20 segments that k asks for; give at least 20",
        ),
        (
            "learn = \"yes\"",
            "model.learn: found \"yes\", expected true or false, without quotes",
        ),
        (
            "import = true",
            "model.import: found true, expected a text in quotes",
        ),
        (
            "seed = -1",
            "model.seed: found the number -1, expected a whole number from 0 to 9223372036854775807",
        ),
        (
            "churn_budget = 5",
            "model.churn_budget: found the number 5, expected a share of all customers from 0 to 1; 0.1 holds a version that would move more than one in ten, 1 holds none",
        ),
    ] {
        check(&sections(&format!("[model]\n{lines}")), expected);
    }
}

/// On one thread, learning 256 features and 512 segments took a minute and a half in the easiest case.
#[test]
fn what_cannot_be_learnt_in_time() {
    let features: String = (0..256)
        .map(|index| {
            format!("[[feature]]\nname = \"f{index}\"\naggregate = \"count\"\nlifetime = true\n")
        })
        .collect();
    let text = |model: &str| {
        format!("app = \"shop\"\n[[input]]\ntopic = \"clicks\"\n{features}[model]\n{model}")
    };
    let refused = |model: &str| Config::parse(&text(model)).unwrap_err().to_string();
    let said = refused("k = 512");
    assert!(
        said.contains("with 256 features and up to 512 segments, learning a version takes about 3691 s of one core; expected at most 600 s")
            && said.contains("give at most 206 segments"),
        "{said}"
    );
    let said = refused("k = 206\nhalf_life = \"1h\"");
    assert!(said.contains("expected at most 38 s"), "{said}");
    for model in ["k = 206", "k = 512\nlearn = false"] {
        let accepted = Config::parse(&text(model));
        assert!(accepted.is_ok(), "{accepted:?}");
    }
}

#[test]
fn decision_sweep_time_http_and_report() {
    let margin = "expected a share from 0 to below 1; 0.15, the default, asks the new segment to be nearer by 15 %";
    for (lines, expected) in [
        (
            "[decision]\nmargin = 1.0",
            &*format!("decision.margin: found the number 1, {margin}"),
        ),
        (
            "[decision]\nmargin = -0.1",
            &*format!("decision.margin: found the number -0.1, {margin}"),
        ),
        (
            "[decision]\nmargin = nan",
            &*format!("decision.margin: found the number NaN, {margin}"),
        ),
        (
            "[decision]\npatience = -1",
            "decision.patience: found the number -1, expected a number from 0 to 1000: with a higher one customers move \
             later; 0.35 is the default, 0 disables patience",
        ),
        (
            "[decision]\ndwell = 0",
            "decision.dwell: found the number 0, expected a whole number from 1 to 65535",
        ),
        (
            "[decision]\ncooldown = \"-1d\"",
            "decision.cooldown: found \"-1d\", expected a whole number and a unit: 100ms, 30s, 10m, 1h, 30d or 2w",
        ),
        (
            "[decision]\ncool_down = \"1d\"",
            "unknown key `decision.cool_down`: did you mean `cooldown`?",
        ),
        (
            "[sweep]\nevery = \"never\"",
            "sweep.every: found \"never\", expected a whole number and a unit: 100ms, 30s, 10m, 1h, 30d or 2w; or \"off\"",
        ),
        (
            "[sweep]\nevery = \"10ms\"",
            "sweep.every: found \"10ms\", expected at least \"1s\", or \"off\"",
        ),
        (
            "[sweep]\nevery = false",
            "sweep.every: found false, expected a text in quotes",
        ),
        (
            "[time]\nlateness = 30",
            "time.lateness: found the number 30, expected a duration in quotes, such as \"30s\", \"1h\" or \"30d\"",
        ),
        (
            "[time]\nmax_skew = \"0s\"",
            "time.max_skew: found \"0s\", expected a duration above zero",
        ),
        (
            "[time]\nidle_timeout = \"0s\"",
            "time.idle_timeout: found \"0s\", expected a duration above zero",
        ),
        (
            "[time]\nremembered_ids = 1025",
            "time.remembered_ids: found the number 1025, expected a whole number from 1 to 1024",
        ),
        (
            "[time]\nearliest = \"long ago\"",
            "time.earliest: found \"long ago\", expected a date, such as \"2000-01-01\", or a time with its zone, such as \
             \"2000-01-01T00:00:00Z\"",
        ),
        (
            "[time]\nearliest = 2000-01-01T00:00:00",
            "time.earliest: found a date without quotes, expected a date, such as \"2000-01-01\", or a time with its zone, \
             such as \"2000-01-01T00:00:00Z\"",
        ),
        (
            "[time]\nearliest = 2000",
            "time.earliest: found the number 2000, expected a text in quotes",
        ),
        (
            "[time]\nlateness = \"2d\"\nforget_after = \"1d\"",
            "time.forget_after: found \"1d\", expected at least time.lateness, since a late event of a removed \
             customer would start a new one; or \"off\"",
        ),
        (
            "[time]\nforget_after = \"never\"",
            "time.forget_after: found \"never\", expected a whole number and a unit: 100ms, 30s, 10m, 1h, 30d or 2w; or \"off\"",
        ),
        (
            "[http]\nlisten = \"localhost:8080\"",
            "http.listen: found \"localhost:8080\", expected a numeric address and a port, such as \"127.0.0.1:8080\", or \
             \"0.0.0.0:8080\" to be reachable from other machines",
        ),
        (
            "[http]\nlisten = 8080",
            "http.listen: found the number 8080, expected a text in quotes",
        ),
        (
            "[report]\nbrings_in = \"order\"",
            "report.brings_in: there is no feature \"order\"; did you mean `orders`?",
        ),
        (
            "[report]\nbrings_in = \"orders\"",
            "report.brings_in: found \"orders\", expected a feature with aggregate = \"sum\"",
        ),
        (
            "[state]\ndirectory = \"\"",
            "state.directory: is empty; give a text or leave the key out",
        ),
        (
            "[state]\ndir = \"state\"",
            "unknown key `state.dir`: expected one of directory, memory",
        ),
        (
            "[state]\nmemory = \"4GB\"",
            "state.memory: found \"4GB\", expected a size in quotes, such as \"512MiB\" or \"4GiB\"",
        ),
        (
            "[state]\nmemory = 4",
            "state.memory: found the number 4, expected a size in quotes, such as \"512MiB\" or \"4GiB\"",
        ),
        (
            "[state]\nstandbys = 1",
            "unknown key `state.standbys`: it belongs at the top of the file, above the first [section]",
        ),
    ] {
        check(&sections(lines), expected);
    }
}
