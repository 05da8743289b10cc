//! The JSON scanner beside sonic-rs and simd-json: the same wanted values from the same documents.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use flockwise_json::{Invalid, JsonScalar, JsonSink, JsonTree, NameTable, RawText, scan};
use simd_json::prelude::ValueAsScalar;
use sonic_rs::{JsonValueTrait, PointerTree};

/// What an event needs: each path is a list of names.
const WANTED: [&[&str]; 7] = [
    &["type"],
    &["event"],
    &["userId"],
    &["timestamp"],
    &["messageId"],
    &["properties", "revenue"],
    &["properties", "order_id"],
];

/// A page view of 400 bytes, an order of 900, and an order with 50 products of 6.5 KB, in the format of Segment.
fn documents() -> [(&'static str, String); 3] {
    let order = |products: usize| {
        let product = |number: usize| {
            format!(
                r#"{{"product_id":"p-{number}","name":"White hanging heart \"T-light\" holder","category":"home/decoration","price":{}.55,"quantity":{}}}"#,
                number % 40,
                1 + number % 12
            )
        };
        let products: Vec<String> = (0..products).map(product).collect();
        format!(
            r#"{{"type":"track","messageId":"ajs-next-1718900000-7f9c","anonymousId":"3f1e-8877","userId":"h0017","channel":"web","context":{{"ip":"203.0.113.9","userAgent":"Mozilla/5.0 (X11; Linux x86_64)","locale":"en-GB","page":{{"path":"/checkout","title":"Checkout"}}}},"timestamp":"2026-03-01T10:11:12.345Z","event":"Order Completed","properties":{{"order_id":"536365","currency":"GBP","revenue":139.12,"products":[{}]}}}}"#,
            products.join(",")
        )
    };
    let page = r#"{"type":"page","messageId":"ajs-next-1718900000-1a2b","anonymousId":"3f1e-8877","userId":"h0017","channel":"web","context":{"ip":"203.0.113.9","userAgent":"Mozilla/5.0 (X11; Linux x86_64)","locale":"en-GB"},"timestamp":"2026-03-01T10:11:12.345Z","event":"Product Viewed","properties":{"path":"/p/white-hanging-heart","title":"White hanging heart","referrer":"https://shop.example/"}}"#;
    [
        ("page view", page.to_owned()),
        ("order", order(3)),
        ("order with 50 products", order(50)),
    ]
}

/// The wanted paths as a tree.
struct Place {
    table: NameTable,
    children: Vec<Self>,
    is_wanted: bool,
}

impl Place {
    fn of(paths: &[&[&str]]) -> Self {
        let mut names: Vec<&str> = paths.iter().filter_map(|path| path.first().copied()).collect();
        names.sort_unstable();
        names.dedup();
        let below = |name: &&str| {
            let inside = paths.iter().filter(|path| path.first() == Some(name));
            Self::of(&inside.map(|path| &path[1..]).collect::<Vec<_>>())
        };
        Self {
            children: names.iter().map(below).collect(),
            table: NameTable::new(names),
            is_wanted: paths.iter().any(|path| path.is_empty()),
        }
    }
}

impl JsonTree for Place {
    #[inline(always)]
    fn member(&self, name: &RawText<'_>) -> Option<&Self> {
        self.table.find(name).map(|index| &self.children[index])
    }

    fn named(&self, _: &str) -> Option<&Self> {
        None
    }

    fn element(&self, _: usize) -> Option<&Self> {
        None
    }
}

/// Adds up what is found, so that nothing is optimised away.
#[derive(Default)]
struct Sum {
    bytes: usize,
    number: f64,
}

impl JsonSink<Place> for Sum {
    #[inline(always)]
    fn scalar(&mut self, place: &Place, value: JsonScalar) {
        if let (true, JsonScalar::Number(number)) = (place.is_wanted, value) {
            self.number += number.nearest();
        }
    }

    #[inline(always)]
    fn text(&mut self, place: &Place, text: &RawText<'_>) -> Result<(), Invalid> {
        self.bytes += if place.is_wanted { text.bytes().len() } else { 0 };
        Ok(())
    }
}

fn with_flockwise(tree: &Place, document: &[u8]) -> Sum {
    let mut sum = Sum::default();
    // As the decoder does: the scan takes UTF-8.
    let text = std::str::from_utf8(document).expect("UTF-8");
    scan(tree, text, &mut sum).expect("JSON");
    sum
}

fn with_sonic(tree: &PointerTree, document: &[u8]) -> Sum {
    let mut sum = Sum::default();
    for found in sonic_rs::get_many(document, tree).expect("JSON").into_iter().flatten() {
        match found.as_str() {
            Some(text) => sum.bytes += text.len(),
            None => sum.number += found.as_f64().unwrap_or(0.0),
        }
    }
    sum
}

fn with_simd(document: &mut [u8]) -> Sum {
    let mut sum = Sum::default();
    let tape = simd_json::to_tape(document).expect("JSON");
    for path in WANTED {
        let first = tape.as_value();
        let found = path.iter().try_fold(first, |value, name| value.get(*name));
        match found.as_ref().and_then(ValueAsScalar::as_str) {
            Some(text) => sum.bytes += text.len(),
            None => sum.number += found.and_then(|found| found.as_f64()).unwrap_or(0.0),
        }
    }
    sum
}

fn json(criterion: &mut Criterion) {
    let tree = Place::of(&WANTED);
    let mut pointers = PointerTree::new();
    WANTED.iter().for_each(|path| pointers.add_path(*path));
    for (name, document) in documents() {
        let document = document.into_bytes();
        let expected = with_flockwise(&tree, &document);
        let others = [
            with_sonic(&pointers, &document),
            with_simd(&mut document.clone()),
        ];
        for other in others {
            assert_eq!((other.bytes, other.number), (expected.bytes, expected.number));
        }
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(document.len() as u64));
        group.bench_function("flockwise-json", |bencher| {
            bencher.iter(|| with_flockwise(&tree, black_box(&document)));
        });
        group.bench_function("sonic-rs", |bencher| {
            bencher.iter(|| with_sonic(&pointers, black_box(&document)));
        });
        // It writes into its input, so each pass needs a copy, which is not timed.
        group.bench_function("simd-json", |bencher| {
            let copy = || document.clone();
            bencher.iter_batched_ref(copy, |copy| with_simd(copy), BatchSize::SmallInput);
        });
    }
}

criterion_group!(benches, json);
criterion_main!(benches);
