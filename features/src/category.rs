//! Merchant categories: ISO 18245 codes in a dozen groups, a closed vocabulary that every bank
//! shares. The groups follow what differs between frauds, not the standard's chapters: selling
//! at a distance and money-like goods stand alone.

use serde::{Deserialize, Serialize};

/// A group of merchant category codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Food shops.
    Grocery,
    /// Fuel, local transport, parking, vehicles.
    Transport,
    /// Restaurants, bars, fast food.
    Dining,
    /// Airlines, car rental, lodging, travel agents.
    Travel,
    /// Medicine, pharmacies, sport clubs.
    Health,
    /// Amusement, digital goods, cinemas.
    Leisure,
    /// Building, furniture, utilities, telephone.
    Home,
    /// Clothing and personal services.
    Personal,
    /// Department and general stores, electronics.
    Retail,
    /// Specialised shops.
    Specialty,
    /// Selling at a distance: catalogues, telephone, subscriptions.
    Distance,
    /// Cash, transfers, securities, gambling.
    Money,
    /// Everything else.
    Other,
    /// No code, or none that ISO 18245 lists.
    Unknown,
}

impl Category {
    /// Every group, in the order of the schema's columns.
    pub const ALL: [Self; 14] = [
        Self::Grocery,
        Self::Transport,
        Self::Dining,
        Self::Travel,
        Self::Health,
        Self::Leisure,
        Self::Home,
        Self::Personal,
        Self::Retail,
        Self::Specialty,
        Self::Distance,
        Self::Money,
        Self::Other,
        Self::Unknown,
    ];

    /// The group of a merchant category code.
    #[must_use]
    pub fn of(mcc: Option<u16>) -> Self {
        match mcc.unwrap_or(0) {
            0..=699 => Self::Unknown,
            742 => Self::Specialty,
            1_500..=1_799 | 4_812..=4_821 | 4_899 | 4_900 | 5_200..=5_299 | 5_712..=5_722 => {
                Self::Home
            }
            3_000..=3_999
            | 4_411
            | 4_511
            | 4_582
            | 4_722
            | 4_723
            | 7_011
            | 7_012
            | 7_032
            | 7_033
            | 7_512..=7_519 => Self::Travel,
            4_829 | 6_000..=6_299 | 6_530..=6_599 | 7_800..=7_802 | 7_995 | 9_754 => Self::Money,
            4_000..=4_799 | 5_500..=5_599 | 5_983 | 7_523 | 7_531..=7_549 => Self::Transport,
            5_811..=5_814 => Self::Dining,
            5_815..=5_818 | 7_829..=7_994 | 7_996..=7_999 => Self::Leisure,
            5_122 | 5_912 | 5_975 | 5_976 | 8_011..=8_099 => Self::Health,
            5_411..=5_499 => Self::Grocery,
            5_600..=5_699 | 7_200..=7_299 => Self::Personal,
            5_300..=5_399 | 5_045 | 5_732..=5_735 => Self::Retail,
            5_960..=5_969 => Self::Distance,
            5_921..=5_959 | 5_970..=5_999 => Self::Specialty,
            700..=9_999 => Self::Other,
            10_000.. => Self::Unknown,
        }
    }

    /// The group's name, as columns carry it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Grocery => "grocery",
            Self::Transport => "transport",
            Self::Dining => "dining",
            Self::Travel => "travel",
            Self::Health => "health",
            Self::Leisure => "leisure",
            Self::Home => "home",
            Self::Personal => "personal",
            Self::Retail => "retail",
            Self::Specialty => "specialty",
            Self::Distance => "distance",
            Self::Money => "money",
            Self::Other => "other",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_group_and_known_ones_theirs() {
        let groups: std::collections::BTreeSet<_> =
            (0..=9_999).map(|mcc| Category::of(Some(mcc))).collect();
        assert_eq!(groups.len(), Category::ALL.len());
        for (mcc, group) in [
            (5_411, Category::Grocery),
            (5_541, Category::Transport),
            (5_812, Category::Dining),
            (3_005, Category::Travel),
            (6_011, Category::Money),
            (5_964, Category::Distance),
            (7_995, Category::Money),
        ] {
            assert_eq!(Category::of(Some(mcc)), group, "{mcc}");
        }
        assert_eq!(Category::of(None), Category::Unknown);
    }
}
