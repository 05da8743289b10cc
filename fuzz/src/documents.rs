//! The splitter that cuts files into documents.

use flockwise_json::{DocumentSplitter, Piece};

/// Bytes of a document, at most: few, so that inputs reach it.
const LIMIT: usize = 64;

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let texts: [&str; 5] = [
        "{\"a\":1}\n{\"b\":[\"x\\\"]\",{\"c\":{}}]}\n",
        "\u{feff}[\r\n  {\"a\": 1},\r\n  {\"b\": null}\r\n]\r\n",
        "{\n  \"a\": {\n    \"b\": [1, 2]\n  }\n}\n{\n}\n",
        "{\"a\":1}{\"b\":2}, {\"c\":3}\n\n[]\n[{}]",
        "\u{1e}{\"a\":\"\u{e9}\"}\n\u{1e}{\"b\":2}\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}

/// Whole and in pieces, a file has the same documents, in order, none too large, and each on the line that it
/// names. Accepted: all are objects.
pub(crate) fn split(file: &[u8]) -> bool {
    let whole = documents(file, file.len().max(1));
    let size = file.first().map_or(1, |byte| 1 + usize::from(byte % 16));
    assert_eq!(documents(file, size), whole, "in pieces of {size} bytes");
    let mut end = 0;
    for (start, line, text) in &whole {
        assert!(*start >= end, "documents are in order");
        assert!(text.len() <= LIMIT + 1, "no document is too large");
        let lines = file[..*start].iter().filter(|byte| **byte == b'\n');
        assert_eq!(*line, 1 + lines.count() as u64, "the line of a document");
        end = start + text.len();
    }
    let is_object = |text: &[u8]| text.starts_with(b"{") && text.ends_with(b"}");
    whole.iter().all(|(.., text)| is_object(text))
}

/// The documents of a file that comes in pieces of `size` bytes: for each its place, its line and its bytes.
fn documents(file: &[u8], size: usize) -> Vec<(usize, u64, Vec<u8>)> {
    let mut splitter = DocumentSplitter::new(LIMIT);
    let (mut from, mut to) = (0, 0);
    let mut found = Vec::new();
    loop {
        match splitter.split(&file[from..to], to == file.len()) {
            Piece::End => return found,
            Piece::More(passed) => {
                from += passed;
                to = (to + size).min(file.len());
                assert!(
                    to - from <= 2 * (LIMIT + size),
                    "holds more than a document"
                );
            }
            Piece::Document {
                text,
                line,
                consumed,
            } => {
                assert!(consumed > 0 && text.end <= consumed, "a document is passed");
                found.push((from + text.start, line, file[from..][text].to_vec()));
                from += consumed;
            }
        }
    }
}
