//! What a schema declares: features, the figures behind them, and the entities whose past is
//! remembered. How a file says it is `language.rs`; which columns come of it is `columns.rs`.

use serde::{Deserialize, Serialize};

use crate::schema::FieldGroup;
use crate::transaction::{DAY_MS, HOUR_MS, Transaction};

/// One declared feature, which makes one or more columns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Feature {
    /// ln(1 + amount in major units).
    Amount(Standing),
    /// ln(1 + hours since the card's previous payment).
    Gap(Standing),
    /// ln(1 + earlier visits of the card to the outlet).
    Visits(Standing),
    /// ln(1 + hours since the card's last visit to the outlet).
    VisitGap(Standing),
    /// Hour of day as an angle, weekend, night.
    Clock(FieldGroup),
    /// The merchant's category, one column a group of codes.
    MerchantCategory(FieldGroup),
    /// The card's past amounts: the context of the pretext task.
    History {
        /// Centre and scale of ln(1 + payments so far).
        count: (f32, f32),
        /// Centre and scale of the spread of its logarithms.
        spread: (f32, f32),
    },
    /// The amount against the card's history.
    AgainstHistory,
    /// The outlet's risk from the bank's own labels.
    OwnRisk,
    /// The outlet's risk from the federation's table, else the bank's own.
    SharedRisk,
    /// Windows over an entity's payments.
    Windows {
        of: Entity,
        /// Ascending.
        lengths: Vec<Length>,
        detrend: bool,
    },
    /// A figure made of the payment's own fields.
    Figure {
        name: String,
        standing: Standing,
        missing: Missing,
        figure: Figure,
    },
    /// A word of a closed vocabulary, one column a word and one for all others.
    Category {
        name: String,
        group: FieldGroup,
        field: FieldAt,
        missing: Missing,
    },
}

impl Feature {
    /// The fields that its document names; what it reads by itself is in `needs.rs`.
    pub(crate) fn fields(&self) -> Vec<FieldAt> {
        match self {
            Self::Figure { figure, .. } => figure.fields(),
            Self::Category { field, .. } => vec![*field],
            Self::Amount(_)
            | Self::Gap(_)
            | Self::Visits(_)
            | Self::VisitGap(_)
            | Self::Clock(_)
            | Self::MerchantCategory(_)
            | Self::History { .. }
            | Self::AgainstHistory
            | Self::OwnRisk
            | Self::SharedRisk
            | Self::Windows { .. } => Vec::new(),
        }
    }
}

/// How a number becomes a column, and what the pretext task does with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Standing {
    pub(crate) group: FieldGroup,
    pub(crate) center: f32,
    pub(crate) scale: f32,
    /// Whether the bank's trailing mean is subtracted.
    pub(crate) detrend: bool,
    /// Whether a perturbation shifts it by noise as well as replacing it.
    pub(crate) shift: bool,
}

/// What stands in a column where a figure is missing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Missing {
    /// The centre, and a column of its own says so.
    Flag,
    /// The centre.
    Center,
    /// This figure, in the figure's own unit.
    Stated(f64),
}

/// Where a field stands among the declared ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FieldAt {
    /// The amount in major units.
    Amount,
    /// The payment's own time.
    Now,
    /// A declared field.
    Declared(u16),
}

/// A figure and the fields it is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Figure {
    Number {
        field: FieldAt,
        transform: Transform,
    },
    /// The logarithm of a span of time.
    Age {
        from: FieldAt,
        until: FieldAt,
        unit: Unit,
    },
    /// The logarithm of the kilometres between two places, each a latitude and a longitude.
    Distance {
        from: [FieldAt; 2],
        to: [FieldAt; 2],
    },
    /// The logarithm of a ratio.
    Ratio { over: FieldAt, under: FieldAt },
}

/// What a number passes through before it is centred and scaled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Transform {
    /// Its logarithm, see [`signed_log`].
    Log,
    /// Nothing: centre and scale are its mean and standard deviation.
    Standardise,
    /// These bounds.
    Clip(f64, f64),
}

/// The unit in which an age is taken before its logarithm: near 0 the logarithm is blind to
/// differences well below one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Minutes,
    Hours,
    Days,
}

impl Unit {
    pub(crate) const ALL: [Self; 3] = [Self::Minutes, Self::Hours, Self::Days];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Minutes => "minutes",
            Self::Hours => "hours",
            Self::Days => "days",
        }
    }

    pub(crate) fn ms(self) -> f64 {
        match self {
            Self::Minutes => 60_000.0,
            Self::Hours => HOUR_MS as f64,
            Self::Days => DAY_MS as f64,
        }
    }
}

impl Figure {
    /// The natural value of a payment's figure; not a number where it is missing and nothing was
    /// stated for that. `value` reads a field.
    pub(crate) fn natural(&self, missing: Missing, value: impl Fn(FieldAt) -> Option<f64>) -> f64 {
        match (self.raw(&value), missing) {
            (Some(raw), _) | (None, Missing::Stated(raw)) => self.transformed(raw),
            (None, Missing::Flag | Missing::Center) => f64::NAN,
        }
    }

    /// The fields it is made of.
    pub(crate) fn fields(&self) -> Vec<FieldAt> {
        match *self {
            Self::Number { field, .. } => vec![field],
            Self::Age { from, until, .. } => vec![from, until],
            Self::Distance { from, to } => [from, to].concat(),
            Self::Ratio { over, under } => vec![over, under],
        }
    }

    /// Whether a field that the figure needs is missing.
    pub(crate) fn is_missing(&self, value: impl Fn(FieldAt) -> Option<f64>) -> bool {
        self.raw(&value).is_none()
    }

    /// The figure before its logarithm: a number, units of time, kilometres, or a ratio.
    fn raw(&self, value: &impl Fn(FieldAt) -> Option<f64>) -> Option<f64> {
        match *self {
            Self::Number { field, .. } => value(field),
            Self::Age { from, until, unit } => Some((value(until)? - value(from)?) / unit.ms()),
            Self::Distance { from, to } => {
                let place = |[lat, lon]: [FieldAt; 2]| Some((value(lat)?, value(lon)?));
                Some(kilometres(place(from)?, place(to)?))
            }
            Self::Ratio { over, under } => {
                Some((signed_log(value(over)?) - signed_log(value(under)?)).exp())
            }
        }
    }

    fn transformed(&self, raw: f64) -> f64 {
        match *self {
            Self::Number { transform, .. } => match transform {
                Transform::Log => signed_log(raw),
                Transform::Standardise => raw,
                Transform::Clip(min, max) => raw.clamp(min, max),
            },
            Self::Age { .. } | Self::Distance { .. } => signed_log(raw),
            Self::Ratio { .. } => raw.ln(),
        }
    }
}

/// ln(1 + x), mirrored below 0, so that a debt or a clock that is ahead keeps its sign.
pub(crate) fn signed_log(x: f64) -> f64 {
    x.abs().ln_1p().copysign(x)
}

/// What [`signed_log`] was taken of.
pub(crate) fn signed_exp(log: f64) -> f64 {
    log.abs().exp_m1().copysign(log)
}

/// Kilometres along a great circle, on a sphere of the earth's mean radius (haversine).
pub(crate) fn kilometres((lat, lon): (f64, f64), (other_lat, other_lon): (f64, f64)) -> f64 {
    let half = |degrees: f64| (degrees.to_radians() / 2.0).sin().powi(2);
    let across = lat.to_radians().cos() * other_lat.to_radians().cos();
    let chord = half(other_lat - lat) + across * half(other_lon - lon);
    2.0 * EARTH_KM * chord.clamp(0.0, 1.0).sqrt().asin()
}

/// Whose payments a window is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Entity {
    /// The payer's card, or the account where there is no card.
    Card,
    /// The payer's account (the debtor).
    Account,
    /// Where the money goes: terminal, else merchant, else payee.
    Outlet,
    Terminal,
    Merchant,
    /// The account on the other side (the creditor).
    Payee,
}

impl Entity {
    pub(crate) const ALL: [Self; 6] = [
        Self::Card,
        Self::Account,
        Self::Outlet,
        Self::Terminal,
        Self::Merchant,
        Self::Payee,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Account => "account",
            Self::Outlet => "outlet",
            Self::Terminal => "terminal",
            Self::Merchant => "merchant",
            Self::Payee => "payee",
        }
    }

    /// Whether it pays; the others are paid.
    pub(crate) fn is_payer(self) -> bool {
        match self {
            Self::Card | Self::Account => true,
            Self::Outlet | Self::Terminal | Self::Merchant | Self::Payee => false,
        }
    }

    /// The entity's token in a payment.
    pub(crate) fn token(self, transaction: &Transaction) -> Option<&str> {
        match self {
            Self::Card => Some(transaction.card()),
            Self::Account => Some(&transaction.account_tok),
            Self::Outlet => transaction.outlet(),
            Self::Terminal => transaction.terminal_tok.as_deref(),
            Self::Merchant => transaction.merchant_tok.as_deref(),
            Self::Payee => transaction.counterparty_tok.as_deref(),
        }
    }

    /// The fields of `txn.v1` that may hold its token.
    pub(crate) fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Card => &["card_tok", "account_tok"],
            Self::Account => &["account_tok"],
            Self::Outlet => &["terminal_tok", "merchant_tok", "counterparty_tok"],
            Self::Terminal => &["terminal_tok"],
            Self::Merchant => &["merchant_tok"],
            Self::Payee => &["counterparty_tok"],
        }
    }
}

/// How far a window reaches back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Length {
    pub(crate) ms: i64,
}

impl Length {
    /// Reads `30m`, `1h` or `7d`. None unless it is whole steps of the busy entities' windows:
    /// five minutes up to two hours, hours up to two days, days up to 90.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let unit = match unit {
            "m" => 60_000,
            "h" => HOUR_MS,
            "d" => DAY_MS,
            _ => return None,
        };
        let number = number.parse::<u16>().ok()?;
        let length = Self {
            ms: i64::from(number) * unit,
        };
        let is_whole = length.ms > 0 && length.ms % length.step_ms() == 0;
        (is_whole && length.ms <= LENGTH_MAX_MS).then_some(length)
    }

    /// The width of a busy entity's step in a window of this length.
    pub(crate) fn step_ms(self) -> i64 {
        if self.ms <= 2 * HOUR_MS {
            5 * 60_000
        } else if self.ms <= 2 * DAY_MS {
            HOUR_MS
        } else {
            DAY_MS
        }
    }
}

/// The shortest way to say it: `1d`, not `24h`.
impl std::fmt::Display for Length {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.ms % DAY_MS == 0 {
            write!(f, "{}d", self.ms / DAY_MS)
        } else if self.ms % HOUR_MS == 0 {
            write!(f, "{}h", self.ms / HOUR_MS)
        } else {
            write!(f, "{}m", self.ms / 60_000)
        }
    }
}

/// Mean radius of the earth, IUGG.
const EARTH_KM: f64 = 6_371.008_8;
/// A season; beyond it a card's last 256 payments and an outlet's steps say nothing more.
const LENGTH_MAX_MS: i64 = 90 * DAY_MS;

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() <= 1e-12 * expected.abs().max(1.0),
            "{found} for {expected}"
        );
    }

    const FIELD: FieldAt = FieldAt::Declared(0);
    const OTHER_FIELD: FieldAt = FieldAt::Declared(1);

    fn natural(figure: Figure, values: [Option<f64>; 2]) -> f64 {
        figure.natural(Missing::Flag, |field| match field {
            FieldAt::Declared(at) => values[usize::from(at)],
            FieldAt::Amount => Some(250.0),
            FieldAt::Now => Some(1_700_000_000_000.0),
        })
    }

    // Python: log1p(1234.5), -log1p(40), 17 clipped to 12, log1p(5/60), log1p(3.25 days),
    // -log1p(1/6), log((1+250)/(1+1200)).
    #[test]
    fn every_transform_equals_python() {
        let number = |transform| Figure::Number {
            field: FIELD,
            transform,
        };
        let of = |figure, value: f64| natural(figure, [Some(value), None]);
        near(of(number(Transform::Log), 1234.5), 7.119_231_025_428_665);
        near(of(number(Transform::Log), -40.0), -3.713_572_066_704_308);
        near(of(number(Transform::Standardise), -4.25), -4.25);
        near(of(number(Transform::Clip(-3.0, 12.0)), 17.0), 12.0);
        near(of(number(Transform::Clip(-3.0, 12.0)), -17.0), -3.0);
        let age = |unit| Figure::Age {
            from: FIELD,
            until: FieldAt::Now,
            unit,
        };
        let before = |ms: f64| 1_700_000_000_000.0 - ms;
        near(
            of(age(Unit::Hours), before(300_000.0)),
            0.080_042_707_673_536_43,
        );
        near(
            of(age(Unit::Minutes), before(300_000.0)),
            1.791_759_469_228_055,
        );
        near(
            of(age(Unit::Days), before(280_800_000.0)),
            1.446_918_982_936_325_4,
        );
        near(
            of(age(Unit::Hours), before(-600_000.0)),
            -0.154_150_679_827_258_3,
        );
        let ratio = Figure::Ratio {
            over: FieldAt::Amount,
            under: FIELD,
        };
        near(of(ratio, 1200.0), -1.565_456_882_948_199_6);
    }

    // Python: 2 * 6371.0088 * asin(sqrt(...)) of Paris to London, of antipodes, of one place.
    #[test]
    fn distances_equal_python() {
        let (paris, london) = ((48.856_6, 2.352_2), (51.507_4, -0.127_8));
        near(kilometres(paris, london), 343.556_534_880_883_25);
        near(kilometres((0.0, 0.0), (0.0, 180.0)), 20_015.114_442_035_923);
        near(
            kilometres((90.0, 0.0), (-90.0, 77.0)),
            20_015.114_442_035_923,
        );
        near(kilometres(paris, paris), 0.0);
        let figure = Figure::Distance {
            from: [FIELD, FIELD],
            to: [OTHER_FIELD, OTHER_FIELD],
        };
        near(natural(figure, [Some(0.0), Some(0.0)]), 0.0);
        assert!(natural(figure, [Some(0.0), None]).is_nan());
    }

    #[test]
    fn a_missing_figure_is_what_was_stated() {
        let age = Figure::Age {
            from: FIELD,
            until: FieldAt::Now,
            unit: Unit::Days,
        };
        let nothing = |_| None;
        assert!(age.is_missing(nothing));
        assert!(age.natural(Missing::Flag, nothing).is_nan());
        assert!(age.natural(Missing::Center, nothing).is_nan());
        near(age.natural(Missing::Stated(365.0), nothing), 366.0_f64.ln());
        let ratio = Figure::Ratio {
            over: FIELD,
            under: FieldAt::Amount,
        };
        near(ratio.natural(Missing::Stated(2.0), nothing), 2.0_f64.ln());
    }

    #[test]
    fn logarithms_come_back() {
        for x in [0.0, 1.5, -1.5, 1e9, -1e9] {
            assert!((signed_exp(signed_log(x)) - x).abs() <= 1e-9 * x.abs());
        }
    }

    #[test]
    fn lengths_are_whole_steps_and_have_one_name() {
        let said = |text| Length::parse(text).map(|length| length.to_string());
        for (text, name) in [("1h", "1h"), ("60m", "1h"), ("24h", "1d"), ("45m", "45m")] {
            assert_eq!(said(text).as_deref(), Some(name));
        }
        assert_eq!(said("90d").as_deref(), Some("90d"));
        for text in [
            "", "h", "0h", "7m", "125m", "50h", "91d", "1w", "-1d", "1.5h", "€",
        ] {
            assert_eq!(said(text), None, "{text}");
        }
    }
}
