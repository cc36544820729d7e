//! The standard columns and their constants. Centres and scales of amounts, gaps, history and
//! windows are means and standard deviations over the handbook set (1,754,155 payments; the
//! figures are printed by `cargo bench -p features -- --columns`), rounded. Flags, angles,
//! categories and rates keep 0 and 1, as in the prototype that the recipe was measured with.

use super::{Column, FeatureSchema, FieldGroup, Role};
use crate::category::Category;

/// Places of the natural values, in the standard order.
pub(crate) struct Slot;

impl Slot {
    pub(crate) const AMOUNT: usize = 0;
    pub(crate) const GAP: usize = 1;
    pub(crate) const HOUR_SIN: usize = 2;
    pub(crate) const HOUR_COS: usize = 3;
    pub(crate) const WEEKEND: usize = 4;
    pub(crate) const NIGHT: usize = 5;
    pub(crate) const VISITS: usize = 6;
    pub(crate) const VISIT_GAP: usize = 7;
    pub(crate) const HISTORY: usize = 8;
    pub(crate) const LOG_SD: usize = 10;
    pub(crate) const MEDIAN: usize = 12;
    pub(crate) const DERIVED: usize = 14;
    pub(crate) const OWN_RISK: usize = 18;
    pub(crate) const SHARED_RISK: usize = 26;
    pub(crate) const CATEGORY: usize = 34;
    pub(crate) const CARD_WINDOWS: usize = 48;
    pub(crate) const OUTLET_WINDOWS: usize = 68;
    pub(crate) const COUNT: usize = 80;
}

/// The place of the natural value called `name`.
pub(crate) fn slot(name: &str) -> Option<usize> {
    schema().position(name)
}

pub(super) fn schema() -> FeatureSchema {
    let mut columns = Vec::with_capacity(Slot::COUNT);
    let mut add = |name: &str, role: Role, (center, scale): (f32, f32), trend: Trended| {
        let detrend = trend == Trended::Yes;
        columns.push(Column {
            name: name.to_owned(),
            role,
            center,
            scale,
            detrend,
        });
    };
    for (name, group, constants, trend) in EVENT {
        add(name, Role::Event(group), constants, trend);
    }
    for (name, constants) in CONTEXT {
        add(name, Role::Context, constants, Trended::No);
    }
    for (name, subtrahend, divisor, factor) in DERIVED {
        let role = Role::Derived {
            minuend: 0,
            subtrahend,
            divisor,
            factor,
        };
        add(name, role, PLAIN, Trended::No);
    }
    for (owner, role) in [("own", Role::OwnRisk), ("shared", Role::SharedRisk)] {
        for (name, constants) in RISK {
            add(&format!("{owner}_{name}"), role, constants, Trended::No);
        }
    }
    for category in Category::ALL {
        let name = format!("category_{}", category.name());
        add(&name, Role::Event(FieldGroup::Category), PLAIN, Trended::No);
    }
    for (window, constants) in WINDOWS.into_iter().zip(CARD) {
        for (name, constants) in CARD_NAMES.into_iter().zip(constants) {
            add(
                &format!("card_{name}_{window}"),
                Role::Window,
                constants,
                Trended::Yes,
            );
        }
    }
    for (window, constants) in WINDOWS.into_iter().zip(OUTLET) {
        for (name, constants) in OUTLET_NAMES.into_iter().zip(constants) {
            add(
                &format!("outlet_{name}_{window}"),
                Role::Window,
                constants,
                Trended::Yes,
            );
        }
    }
    FeatureSchema { columns }
}

#[derive(Clone, Copy, PartialEq)]
enum Trended {
    Yes,
    No,
}

type Constants = (f32, f32);

const PLAIN: Constants = (0.0, 1.0);
/// Mean and standard deviation of ln(1 + amount in major units).
const AMOUNT: Constants = (3.6, 0.95);

const EVENT: [(&str, FieldGroup, Constants, Trended); 8] = [
    ("amount", FieldGroup::Amount, AMOUNT, Trended::No),
    ("gap", FieldGroup::Gap, (2.0, 1.1), Trended::Yes),
    ("hour_sin", FieldGroup::Time, PLAIN, Trended::No),
    ("hour_cos", FieldGroup::Time, PLAIN, Trended::No),
    ("weekend", FieldGroup::Time, PLAIN, Trended::No),
    ("night", FieldGroup::Time, PLAIN, Trended::No),
    ("visits", FieldGroup::Visit, (1.6, 1.0), Trended::No),
    ("visit_gap", FieldGroup::Visit, (5.5, 1.5), Trended::Yes),
];

const CONTEXT: [(&str, Constants); 6] = [
    ("history_count", (4.8, 0.9)),
    ("history_log_mean", AMOUNT),
    ("history_log_sd", (0.75, 0.15)),
    ("history_mean", AMOUNT),
    ("history_median", AMOUNT),
    ("history_max", AMOUNT),
];

/// Name, subtrahend, divisor, factor; the minuend is the amount. The last is half the distance
/// from the card's mean in its own standard deviations, whence the amount's scale in the factor.
const DERIVED: [(&str, u16, Option<u16>, f32); 4] = [
    ("amount_over_mean", 11, None, 1.0),
    ("amount_over_median", 12, None, 1.0),
    ("amount_over_max", 13, None, 1.0),
    (
        "amount_deviation",
        9,
        Some(Slot::LOG_SD as u16),
        AMOUNT.1 / 2.0,
    ),
];

const RISK: [(&str, Constants); 8] = [
    ("count_1d", PLAIN),
    ("rate_1d", PLAIN),
    ("count_7d", PLAIN),
    ("rate_7d", PLAIN),
    ("count_30d", PLAIN),
    ("rate_30d", PLAIN),
    ("frauds_21d", PLAIN),
    ("smooth_rate_21d", PLAIN),
];

const WINDOWS: [&str; 4] = ["1h", "1d", "7d", "30d"];
const CARD_NAMES: [&str; 5] = ["count", "sum", "mean", "max", "outlets"];
const OUTLET_NAMES: [&str; 3] = ["count", "mean", "cards"];

const CARD: [[Constants; 5]; 4] = [[PLAIN; 5]; 4];
const OUTLET: [[Constants; 3]; 4] = [[PLAIN; 3]; 4];
