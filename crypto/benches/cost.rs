//! What the primitives cost on this machine: `cargo bench -p crypto --bench cost`.
//!
//! A plain program. Each figure is the median of a few runs on one core; the plain addition beside
//! the mask says what the memory alone would allow. No gate: gates belong where machines are known.
#![expect(clippy::print_stdout, reason = "a program whose output is its figures")]

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::time::Instant;

use crypto::mask::{self, MaskKey, Sign};
use crypto::{AgreementKey, Chain, Key, Lagrange, Seed, SigningKey, seal, shamir, tagged};

const RUNS: usize = 9;

fn main() {
    vectors();
    threads();
    sharing();
    pairs();
    signatures();
}

fn vectors() {
    let key = Key::from_bytes([1; 32]);
    for count in [100_000, 1_000_000, 10_000_000] {
        let mut words = vec![1_u32; count];
        let other = vec![2_u32; count];
        let gigabytes = (count * 4) as f64 / 1e9;
        let library = [(MaskKey::portable(&key), Sign::Plus)];
        let library = seconds(|| mask::apply_from(&library, 0, black_box(&mut words)));
        let fused = MaskKey::fused(&key).map(|fused| {
            let fused = [(fused, Sign::Plus)];
            seconds(|| mask::apply_from(&fused, 0, black_box(&mut words)))
        });
        let added = seconds(|| {
            let pairs = black_box(&mut words).iter_mut().zip(black_box(&other));
            pairs.for_each(|(word, other)| *word = word.wrapping_add(*other));
        });
        let fused = fused.map_or_else(
            || "no fused way here".to_owned(),
            |fused| {
                format!(
                    "fused {:.2} GB/s ({:.3} ms)",
                    gigabytes / fused,
                    fused * 1e3
                )
            },
        );
        println!(
            "{count:>9} words: library {:.2} GB/s ({:.3} ms), {fused}, plain addition {:.2} GB/s",
            gigabytes / library,
            library * 1e3,
            gigabytes / added
        );
    }
    let bytes = vec![3; 1 << 24];
    let sealed = seconds(|| seal::seal(&key, b"", &bytes));
    let hashed = seconds(|| crypto::merkle::chunk_root(&bytes));
    let size = bytes.len() as f64 / 1e9;
    println!(
        "seal {:.2} GB/s, chunk_root {:.2} GB/s",
        size / sealed,
        size / hashed
    );
}

/// The same masks by one thread and by two, one right after the other, so that the ratio means
/// something on a machine that does other things too; of the ratios, the median and the best.
fn threads() {
    let threads = [1, 2].map(|threads| NonZeroUsize::new(threads).expect("not zero"));
    for (peers, count) in [
        (9_u8, 1_000_000),
        (99, 20_000),
        (99, 100_000),
        (99, 1_000_000),
    ] {
        let masks: Vec<_> = (0..=peers)
            .map(|at| (Key::from_bytes([at; 32]), Sign::Plus))
            .collect();
        let mut words = vec![1_u32; count];
        let mut pairs = [(0.0, 0.0); RUNS];
        for pair in &mut pairs {
            let [one, two] = threads
                .map(|threads| once(|| mask::apply_all(&masks, black_box(&mut words), threads)));
            *pair = (one / two, two);
        }
        pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (median, best) = (pairs[RUNS / 2], pairs[RUNS - 1]);
        println!(
            "{:>3} masks, {count:>9} words: two threads {:.2} times as fast as one, at best {:.2} \
             ({:.2} ms)",
            masks.len(),
            median.0,
            best.0,
            best.1 * 1e3
        );
    }
}

fn sharing() {
    let seed = Seed::from_entropy([2; 32]);
    let secret = seed.scalar("secret", 0);
    for (count, threshold) in [(10, 7), (100, 67), (300, 200)] {
        let members = (1..=threshold).collect::<Vec<u16>>();
        let shares = shamir::split(&secret, threshold, count, &seed);
        let split = seconds(|| shamir::split(&secret, threshold, count, &seed));
        let weights = seconds(|| Lagrange::new(&members));
        let lagrange = Lagrange::new(&members).expect("distinct");
        let held = &shares[..usize::from(threshold)];
        let combined = seconds(|| lagrange.combine(held));
        println!(
            "{threshold} of {count}: split {:.3} ms, weights {:.3} ms, combine {:.3} ms",
            split * 1e3,
            weights * 1e3,
            combined * 1e3
        );
    }
}

fn pairs() {
    let [lower, upper] = [1, 2].map(|seed| AgreementKey::generate(&Seed::from_entropy([seed; 32])));
    let (low, up) = (lower.public(), upper.public());
    let seed = Seed::from_entropy([3; 32]);
    let salt = tagged("csa1/salt", &[]);
    let (ciphertext, secret) = lower.encapsulate(&up, &seed).expect("sound key");
    let generate = seconds(|| AgreementKey::generate(&seed));
    let encapsulate = seconds(|| lower.encapsulate(&up, &seed));
    let decapsulate = seconds(|| upper.decapsulate(&ciphertext));
    let derive = seconds(|| lower.pair_key(&low, &up, &up, &ciphertext, &secret, &salt));
    let pair = lower
        .pair_key(&low, &up, &up, &ciphertext, &secret, &salt)
        .expect("sound key");
    let leap = seconds(|| Chain::start(&pair).at(10_000).map(Key::expose).is_ok());
    println!(
        "generate {:.0} us, encapsulate {:.0} us, decapsulate {:.0} us, pair key {:.0} us, \
         ratchet {:.2} us",
        generate * 1e6,
        encapsulate * 1e6,
        decapsulate * 1e6,
        derive * 1e6,
        leap * 1e2
    );
}

fn signatures() {
    let key = SigningKey::from_seed([4; 32]);
    let signature = key.sign("kind", b"body");
    let sign = seconds(|| key.sign("kind", b"body"));
    let verify = seconds(|| key.verify_key().verify("kind", b"body", &signature));
    println!("sign {:.0} us, verify {:.0} us", sign * 1e6, verify * 1e6);
}

fn seconds<T>(mut work: impl FnMut() -> T) -> f64 {
    let mut runs = [0.0; RUNS];
    for run in &mut runs {
        *run = once(&mut work);
    }
    runs.sort_by(f64::total_cmp);
    runs[RUNS / 2]
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn once<T>(work: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    black_box(work());
    start.elapsed().as_secs_f64()
}
