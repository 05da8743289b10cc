//! The splitter's definition, on all bytes of a file at once: its naive twin.

/// How an object ends, if there is no limit.
enum Fate {
    /// Its brackets close after this number of bytes.
    Closes(usize),
    /// It is one line of this number of bytes, and its brackets do not close.
    Line(usize),
    /// It has further lines, and cannot be JSON after this number of bytes.
    Breaks(usize),
    /// It has further lines, and the file ends.
    Cut,
}

/// The documents of a file, each with the line that it begins on.
pub(super) fn documents(file: &[u8], limit: usize) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    let (mut at, mut arrays, mut one_line_until) = (0, 0, 0);
    while at < file.len() {
        let rest = &file[at..];
        if let Some(passed) = between(rest, &mut arrays, limit) {
            at += passed;
            continue;
        }
        let first_line = line(rest);
        // The bytes to deliver, and those to pass.
        let (length, passed) = match rest[0] {
            b'{' if at < one_line_until => both(one_line(&rest[..first_line])),
            b'{' => match fate(rest) {
                Fate::Closes(end) | Fate::Line(end) => both(end),
                Fate::Breaks(noticed) if noticed > limit + 1 => (noticed, skipped(rest, noticed)),
                Fate::Cut if rest.len() > limit => both(rest.len()),
                Fate::Breaks(noticed) => {
                    one_line_until = at + noticed;
                    both(first_line)
                }
                Fate::Cut => {
                    one_line_until = file.len();
                    both(first_line)
                }
            },
            _ if arrays > 0 => both(element(&rest[..first_line])),
            _ => both(first_line),
        };
        let text = &rest[..length.min(limit + 1)];
        let number = 1 + file[..at].iter().filter(|byte| **byte == b'\n').count();
        found.push((number as u64, text.trim_ascii_end().to_vec()));
        at += passed;
    }
    found
}

fn both(length: usize) -> (usize, usize) {
    (length, length)
}

fn line(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(bytes.len())
}

/// Bytes at the front that are between documents; `None` if a document begins.
fn between(rest: &[u8], arrays: &mut usize, limit: usize) -> Option<usize> {
    if rest.starts_with("\u{feff}".as_bytes()) {
        return Some(3);
    }
    if b" \t\r\n\x0c\x1e,".contains(&rest[0]) {
        return Some(1);
    }
    if rest[0] == b']' && *arrays > 0 {
        *arrays -= 1;
        return Some(1);
    }
    let blanks = |byte: &&u8| b" \t\r".contains(byte);
    let behind = 1 + rest[1..].iter().take_while(blanks).count();
    let opens = rest.get(behind).is_none_or(|next| b"{]\n".contains(next)) || behind > limit;
    if rest[0] == b'[' && opens {
        *arrays += 1;
        return Some(1);
    }
    None
}

fn fate(rest: &[u8]) -> Fate {
    let first_line = line(rest);
    let end = one_line(&rest[..first_line]);
    if end < first_line || first_line == rest.len() || closes(&rest[..end]) {
        return match closes(&rest[..end]) {
            true => Fate::Closes(end),
            false => Fate::Line(first_line),
        };
    }
    for end in first_line..=rest.len() {
        let (is_broken, is_in_string, open) = state(&rest[..end]);
        match () {
            () if end == first_line && (is_broken || is_in_string) => return Fate::Line(end),
            () if open == 0 && !is_in_string => return Fate::Closes(end),
            () if is_broken => return Fate::Breaks(end),
            () => {}
        }
    }
    Fate::Cut
}

/// Where an object that must end with its line ends.
fn one_line(line: &[u8]) -> usize {
    let ends = 1..=line.len();
    ends.into_iter()
        .find(|end| closes(&line[..*end]))
        .unwrap_or(line.len())
}

fn closes(bytes: &[u8]) -> bool {
    let (_, is_in_string, open) = state(bytes);
    open == 0 && !is_in_string
}

/// Where an element of an array that is not an object ends.
fn element(line: &[u8]) -> usize {
    let ends = 0..line.len();
    ends.into_iter()
        .find(|end| b",]".contains(&line[*end]) && closes(&line[..*end]))
        .unwrap_or(line.len())
}

/// Bytes of an object that is too large, and breaks after `noticed` bytes.
fn skipped(rest: &[u8], noticed: usize) -> usize {
    if state(&rest[..noticed - 1]).1 {
        return noticed - 1;
    }
    for end in noticed..=rest.len() {
        if closes(&rest[..end]) || rest.get(end) == Some(&b'\n') {
            return end;
        }
    }
    rest.len()
}

/// Is it no beginning of a JSON document? Is a string open? How many brackets are?
fn state(bytes: &[u8]) -> (bool, bool, usize) {
    let (mut is_broken, mut is_in_string) = (false, false);
    let mut closers = Vec::new();
    let mut last = b' ';
    let mut bytes = bytes.iter().copied();
    while let Some(byte) = bytes.next() {
        if is_in_string {
            match byte {
                b'\\' => is_broken |= bytes.next() == Some(b'\n'),
                b'"' => is_in_string = false,
                b'\n' => is_broken = true,
                _ => {}
            }
            continue;
        }
        let is_after_value = !b" {[,:".contains(&last);
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => continue,
            b'"' => {
                is_broken |= is_after_value;
                is_in_string = true;
            }
            b'{' | b'[' => {
                let wants_key = closers.last() == Some(&b'}') && last != b':';
                is_broken |= is_after_value || wants_key;
                closers.push(if byte == b'{' { b'}' } else { b']' });
            }
            b'}' | b']' => is_broken |= closers.pop() != Some(byte),
            _ => {}
        }
        last = byte;
    }
    (is_broken, is_in_string, closers.len())
}
