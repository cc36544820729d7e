//! When a bank learns the truth, if ever.
//!
//! A fraud is written into the bank's books after a lag that depends on its kind; some never
//! are. Mistakes go both ways, by parameter.

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;

use super::payment::{FraudType, Payment};
use super::season::DAY_MS;
use super::stream::{Stream, log_normal};

/// When a fraud at `ts` is reported; absent where it never is.
pub(crate) fn report(chance: &mut impl Rng, kind: FraudType, ts: i64) -> Option<i64> {
    let Lag {
        days,
        spread,
        never,
    } = Lag::of(kind);
    let lag = log_normal(chance, days, spread) * DAY_MS as f64;
    (chance.random::<f64>() >= never).then_some(ts + lag as i64)
}

/// The delay of a report.
struct Lag {
    /// Median, in days.
    days: f64,
    /// Standard deviation of the logarithm.
    spread: f64,
    /// Share that is never reported.
    never: f64,
}

impl Lag {
    fn of(kind: FraudType) -> Self {
        let (days, spread, never) = match kind {
            FraudType::CompromisedTerminal => (5.0, 0.6, 0.04),
            FraudType::StolenCard => (1.2, 0.7, 0.01),
            FraudType::Takeover => (3.0, 0.8, 0.03),
            FraudType::Mule => (4.0, 0.8, 0.08),
            FraudType::CardTesting => (6.0, 0.7, 0.15),
            FraudType::HighAmount => (5.0, 0.6, 0.0),
        };
        Self {
            days,
            spread,
            never,
        }
    }
}

/// Loses a share of the reports, and disputes as many genuine payments by mistake.
pub(crate) fn mistake(payments: &mut [Payment], share: f64, seed: u64) {
    if share <= 0.0 {
        return;
    }
    let mut chance = Stream::Mistakes.open(seed);
    let mut lost = 0;
    for payment in payments
        .iter_mut()
        .filter(|payment| payment.reported_at.is_some())
    {
        if chance.random::<f64>() < share {
            payment.reported_at = None;
            lost += 1;
        }
    }
    for _ in 0..lost {
        let payment = genuine(&mut chance, payments);
        payment.reported_at =
            Some(payment.ts + (chance.random_range(1.0..30.0) * DAY_MS as f64) as i64);
    }
}

fn genuine<'a>(chance: &mut ChaCha8Rng, payments: &'a mut [Payment]) -> &'a mut Payment {
    loop {
        let index = chance.random_range(0..payments.len());
        if payments[index].fraud.is_none() {
            return &mut payments[index];
        }
    }
}
