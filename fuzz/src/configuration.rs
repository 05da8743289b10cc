//! The configuration file: any text is either a configuration or a list of problems, each with its place.

use flockwise_config::Config;

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    [
        &include_bytes!("../../config/flockwise.toml")[..],
        include_bytes!("../../config/web-shop.toml"),
        include_bytes!("../../config/b2b.toml"),
    ]
    .map(<[u8]>::to_vec)
    .to_vec()
}

pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let parsed = Config::parse(text);
    if let Err(errors) = &parsed {
        assert!(!errors.to_string().is_empty(), "a refusal must say why");
    }
    parsed.is_ok()
}
