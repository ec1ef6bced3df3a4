//! How fast an answer of 10,000 series becomes samples: the first time, and in the rounds after it.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput};
use runbookd::domain::Timestamp;
use runbookd::prometheus::{Asked, LabelPool, decode};

const SERIES: u64 = 10_000;

fn answer() -> String {
    let mut body = String::from(r#"{"status":"success","data":{"resultType":"vector","result":["#);
    for number in 0..SERIES {
        let comma = if number == 0 { "" } else { "," };
        let _ = write!(
            body,
            r#"{comma}{{"metric":{{"__name__":"cpu_usage","instance":"10.1.{}.{}:8080","job":"shop","namespace":"shop","pod":"checkout-{number:05}","service":"checkout-{}"}},"value":[1700000000.123,"0.{number}"]}}"#,
            number / 250,
            number % 250,
            number % 40,
        );
    }
    body.push_str("]}}");
    body
}

fn decoding(c: &mut Criterion) {
    let body = answer();
    let asked = Asked {
        at: Timestamp::from_second(1_700_000_000).unwrap_or(Timestamp::UNIX_EPOCH),
        staleness: Duration::from_secs(300),
    };
    let mut group = c.benchmark_group("decode_10000_series");
    group.throughput(Throughput::Elements(SERIES));
    group.bench_function("first_round", |b| {
        b.iter_batched_ref(
            LabelPool::new,
            |pool| black_box(decode(body.as_bytes(), 200, asked, pool)).map_or(0, |samples| samples.len()),
            BatchSize::LargeInput,
        );
    });
    let mut pool = LabelPool::new();
    group.bench_function("later_round", |b| {
        b.iter(|| {
            black_box(decode(body.as_bytes(), 200, asked, &mut pool)).map_or(0, |samples| samples.len())
        });
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    decoding(&mut criterion);
    criterion.final_summary();
}
