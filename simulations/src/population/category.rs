//! What is bought: merchant categories with their codes (ISO 18245), prices, hours and the
//! share that is sold at a distance. A table and nothing else; who buys is in `customer`.

/// One kind of merchant.
#[derive(Debug)]
pub(crate) struct Category {
    /// Merchant category code, ISO 18245.
    pub(crate) mcc: u16,
    /// Share of an average customer's purchases.
    pub(crate) weight: f64,
    /// Median amount in minor units, at the middle price level.
    pub(crate) price: f64,
    /// Standard deviation of the logarithm of the amount.
    pub(crate) spread: f64,
    /// Share of merchants that sell only at a distance.
    pub(crate) remote: f64,
    /// Opening and closing hour of its places.
    pub(crate) open: (f64, f64),
    /// Busiest hours; each is as likely as the other.
    pub(crate) busy: (f64, f64),
}

/// Position of cash machines in [`CATEGORIES`].
pub(crate) const CASH: usize = 0;
/// Positions of what a thief of a card buys: cash, electronics, jewellery, gifts, clothing.
pub(crate) const RESOLD: [usize; 5] = [CASH, 8, 9, 10, 7];
/// Positions of what is bought at a distance with somebody else's details.
pub(crate) const RESOLD_REMOTE: [usize; 4] = [8, 10, 15, 16];
/// Positions where a small payment at a distance surprises nobody.
pub(crate) const TESTED: [usize; 4] = [16, 17, 18, 19];

const fn category(
    mcc: u16,
    weight: f64,
    price: f64,
    spread: f64,
    remote: f64,
    hours: [f64; 4],
) -> Category {
    let [from, to, first, second] = hours;
    Category {
        mcc,
        weight,
        price,
        spread,
        remote,
        open: (from, to),
        busy: (first, second),
    }
}

/// Every kind of merchant there is.
pub(crate) const CATEGORIES: [Category; 24] = [
    category(6011, 0.045, 6_000.0, 0.60, 0.0, [0.0, 24.0, 12.0, 18.0]), // cash machines
    category(5411, 0.250, 2_400.0, 0.75, 0.06, [7.0, 22.0, 11.0, 18.0]), // groceries
    category(5812, 0.090, 2_300.0, 0.55, 0.0, [11.0, 24.0, 12.8, 20.0]), // restaurants
    category(5814, 0.100, 950.0, 0.50, 0.05, [7.0, 24.0, 8.5, 13.0]),   // fast food
    category(5541, 0.060, 5_200.0, 0.40, 0.0, [5.0, 24.0, 8.0, 18.0]),  // fuel
    category(5912, 0.040, 1_600.0, 0.70, 0.10, [8.0, 20.0, 11.0, 17.0]), // pharmacies
    category(5200, 0.025, 4_800.0, 0.90, 0.20, [7.0, 20.0, 10.5, 15.0]), // home improvement
    category(5651, 0.055, 4_500.0, 0.70, 0.40, [9.0, 21.0, 14.0, 18.0]), // clothing
    category(5732, 0.025, 9_500.0, 1.00, 0.50, [9.0, 21.0, 14.0, 18.5]), // electronics
    category(5944, 0.005, 14_000.0, 0.90, 0.25, [10.0, 19.0, 12.0, 16.0]), // jewellery
    category(5947, 0.014, 2_800.0, 0.80, 0.45, [9.0, 20.0, 13.0, 17.0]), // gifts and vouchers
    category(5311, 0.035, 4_000.0, 0.80, 0.20, [9.0, 21.0, 12.0, 17.0]), // department stores
    category(4111, 0.080, 380.0, 0.70, 0.25, [5.0, 24.0, 8.0, 17.5]),   // local transport
    category(4121, 0.020, 1_500.0, 0.50, 0.30, [0.0, 24.0, 9.0, 22.0]), // taxis
    category(5942, 0.020, 1_900.0, 0.60, 0.55, [9.0, 20.0, 12.0, 17.0]), // books
    category(4722, 0.008, 24_000.0, 0.80, 0.85, [8.0, 20.0, 12.0, 18.0]), // travel agencies
    category(5999, 0.035, 2_600.0, 0.95, 0.60, [9.0, 20.0, 12.0, 17.0]), // other retail
    category(5816, 0.025, 700.0, 0.90, 1.0, [0.0, 24.0, 17.0, 21.0]),   // digital goods, games
    category(4899, 0.018, 1_150.0, 0.25, 1.0, [0.0, 24.0, 6.0, 20.0]),  // streaming
    category(4814, 0.015, 2_300.0, 0.35, 0.8, [8.0, 20.0, 10.0, 17.0]), // telephony
    category(7011, 0.006, 13_000.0, 0.60, 0.30, [6.0, 24.0, 10.0, 18.0]), // lodging
    category(7832, 0.014, 1_900.0, 0.40, 0.30, [13.0, 24.0, 17.0, 20.0]), // cinemas
    category(7230, 0.018, 3_600.0, 0.55, 0.0, [9.0, 19.0, 11.0, 16.0]), // hair and beauty
    category(8099, 0.012, 5_500.0, 0.70, 0.05, [8.0, 18.0, 10.0, 15.0]), // health services
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_positions_hold_what_their_names_say() {
        let codes = |positions: &[usize]| -> Vec<u16> {
            positions
                .iter()
                .map(|position| CATEGORIES[*position].mcc)
                .collect()
        };
        assert_eq!(CATEGORIES[CASH].mcc, 6011);
        assert_eq!(codes(&RESOLD), [6011, 5732, 5944, 5947, 5651]);
        assert_eq!(codes(&RESOLD_REMOTE), [5732, 5947, 4722, 5999]);
        assert_eq!(codes(&TESTED), [5999, 5816, 4899, 4814]);
    }

    #[test]
    fn weights_sum_to_one() {
        let sum: f64 = CATEGORIES.iter().map(|category| category.weight).sum();
        assert!((sum - 1.0).abs() < 0.02, "found {sum}");
    }
}
