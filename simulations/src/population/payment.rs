//! One payment as the generator makes it, with the truth beside it.
//!
//! Identities are numbers here; `generate` writes them as tokens in the columns of the
//! canonical transaction. How payments come about is in `purchase`, `transfer` and `fraud`.

use super::season::DAY_MS;

/// A payment, and what is true about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Payment {
    /// When it was authorised, ms since 1970-01-01 UTC.
    pub ts: i64,
    /// The payer's bank, from 0.
    pub bank: u16,
    /// The payer, from 0; account and card carry the same number.
    pub customer: u32,
    /// How it travelled.
    pub rail: Rail,
    /// Amount in minor units.
    pub amount_minor: i64,
    /// Where it was ordered.
    pub channel: Channel,
    /// How the card was read; absent where there was none.
    pub entry_mode: Option<EntryMode>,
    /// Who was paid.
    pub payee: Payee,
    /// Merchant category code (ISO 18245).
    pub mcc: Option<u16>,
    /// The merchant's country, ISO 3166 alpha-2.
    pub merchant_country: Option<&'static str>,
    /// Where the card was, on the map of the generator; absent at a distance.
    pub place: Option<Place>,
    /// The truth; absent means genuine.
    pub fraud: Option<FraudType>,
    /// When it is reported as fraud to the payer's bank, ms; absent means never.
    /// A genuine payment can have one: a mistaken dispute.
    pub reported_at: Option<i64>,
}

/// A bank's belief about a payment, right or wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the bank calls it fraud.
    pub is_fraud: bool,
    /// Since when, ms since 1970-01-01 UTC.
    pub known_at: i64,
}

/// Days without a complaint after which a bank takes a payment for genuine.
pub const UNDISPUTED_DAYS: i64 = 7;

/// A point on the generator's map, which is 100 by 100.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Place {
    /// Eastward.
    pub x: f64,
    /// Northward.
    pub y: f64,
}

impl Place {
    /// The distance to another point, in units of the map.
    pub fn distance(self, other: Self) -> f64 {
        (self.x - other.x).hypot(self.y - other.y)
    }

    /// Degrees north and east, rounded to a tenth as the schema asks. The map covers
    /// 5 by 7 degrees with its corner at 44 N, 0 E.
    pub fn degrees(self) -> (f32, f32) {
        let tenth = |degrees: f64| ((degrees * 10.0).round() / 10.0) as f32;
        (tenth(44.0 + 0.05 * self.y), tenth(0.07 * self.x))
    }
}

/// Who was paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payee {
    /// A merchant's terminal.
    Terminal {
        /// The merchant, from 0.
        merchant: u32,
        /// The terminal, from 0 over all merchants.
        terminal: u32,
    },
    /// A merchant at a distance.
    Site {
        /// The merchant, from 0.
        merchant: u32,
    },
    /// Another customer's account.
    Account {
        /// The customer, from 0.
        customer: u32,
        /// The customer's bank, from 0.
        bank: u16,
    },
    /// An organisation outside the banks: a landlord, a utility.
    Organisation(u32),
}

macro_rules! named {
    (
        $(#[$doc:meta])*
        $name:ident { $($(#[$about:meta])* $variant:ident = $text:literal),+ $(,)? }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$about])* $variant),+ }

        impl $name {
            /// Every variant, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in files.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}
pub(super) use named;

named! {
    /// How a payment travels.
    Rail {
        /// Card network.
        Card = "card",
        /// Cash machine.
        Atm = "atm",
        /// SEPA credit transfer.
        Sct = "sct",
        /// SEPA instant credit transfer.
        SctInst = "sct_inst",
        /// Payment between persons by telephone.
        P2p = "p2p",
    }
}

named! {
    /// Where a payment is ordered.
    Channel {
        /// At a terminal.
        Pos = "pos",
        /// On a merchant's site.
        Ecom = "ecom",
        /// At a cash machine.
        Atm = "atm",
        /// In the bank's application.
        MobileApp = "mobile_app",
        /// On the bank's site.
        Web = "web",
    }
}

named! {
    /// How a card is read.
    EntryMode {
        /// Inserted.
        Chip = "chip",
        /// Held to the terminal.
        Contactless = "contactless",
        /// Swiped.
        Magstripe = "magstripe",
        /// Typed on a site.
        Ecom = "ecom",
        /// Kept by the merchant.
        CardOnFile = "cof",
    }
}

named! {
    /// The kinds of fraud.
    FraudType {
        /// A manipulated terminal charges copies of the cards it saw.
        CompromisedTerminal = "compromised_terminal",
        /// A stolen card is emptied in a burst.
        StolenCard = "stolen_card",
        /// Somebody else orders with a customer's access.
        Takeover = "account_takeover",
        /// Money runs from a victim through mules' accounts.
        Mule = "mule_chain",
        /// Tiny payments try out a list of cards, then large ones follow.
        CardTesting = "card_testing",
        /// The handbook's first scenario: an amount above a limit.
        HighAmount = "high_amount",
    }
}

impl Payment {
    /// Whether a card was used, at a terminal, a cash machine or a distance.
    pub fn is_by_card(&self) -> bool {
        match self.rail {
            Rail::Card | Rail::Atm => true,
            Rail::Sct | Rail::SctInst | Rail::P2p => false,
        }
    }

    /// What the payer's bank comes to believe: fraud when that is reported; genuine when
    /// nobody has complained for [`UNDISPUTED_DAYS`].
    pub fn verdict(&self) -> Verdict {
        let undisputed_at = self.ts + UNDISPUTED_DAYS * DAY_MS;
        Verdict {
            is_fraud: self.reported_at.is_some(),
            known_at: self.reported_at.unwrap_or(undisputed_at),
        }
    }

    /// The canonical transaction's `txn_type`.
    pub fn kind(&self) -> &'static str {
        match self.rail {
            Rail::Card => "purchase",
            Rail::Atm => "cash",
            Rail::Sct | Rail::SctInst | Rail::P2p => "transfer",
        }
    }
}
