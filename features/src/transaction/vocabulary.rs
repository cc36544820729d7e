//! The closed vocabularies of `txn.v1`: rails, channels, entry modes and their like. A word
//! outside a vocabulary becomes `Other` where there is one, so that a scheme that adds a word
//! does not stop a feed; checking it is in `door.rs`.

use serde::{Deserialize, Serialize};

/// A closed set of words, and what an unlisted word becomes.
pub(crate) trait Vocabulary: Copy {
    /// Every listed word, for error texts.
    const WORDS: &'static [&'static str];

    /// The word that an unlisted one becomes, where there is one.
    const REST: Option<&'static str>;

    /// The listed value of `word`, `Other` where the vocabulary has one, or nothing.
    fn from_word(word: &str) -> Option<Self>;
}

macro_rules! vocabulary {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal),* } otherwise $rest:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $(#[doc = concat!("`", $word, "`")] #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            /// The word of `txn.v1` for this value.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl Vocabulary for $name {
            const WORDS: &'static [&'static str] = &[$($word),*];

            const REST: Option<&'static str> = match $rest {
                Some(rest) => Some(Self::word(rest)),
                None => None,
            };

            fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => $rest }
            }
        }
    };
}

vocabulary! {
    /// What carries the money.
    Rail {
        Card = "card", Sct = "sct", SctInst = "sct_inst", Sdd = "sdd", Ach = "ach", Wire = "wire",
        Rtp = "rtp", P2p = "p2p", Atm = "atm", Wallet = "wallet", Other = "other"
    } otherwise Some(Self::Other)
}

vocabulary! {
    /// Seen from the account: money out or in.
    Direction { Debit = "debit", Credit = "credit" } otherwise None
}

vocabulary! {
    /// What the payment is for.
    TxnType {
        Purchase = "purchase", Cash = "cash", Transfer = "transfer", Refund = "refund",
        Fee = "fee", Topup = "topup", Bill = "bill", Payroll = "payroll", Mandate = "mandate",
        Other = "other"
    } otherwise Some(Self::Other)
}

vocabulary! {
    /// Where the payer acted.
    Channel {
        Pos = "pos", Ecom = "ecom", Moto = "moto", Atm = "atm", Branch = "branch",
        MobileApp = "mobile_app", Web = "web", Api = "api", Phone = "phone", Batch = "batch",
        Other = "other"
    } otherwise Some(Self::Other)
}

vocabulary! {
    /// How the card was read.
    EntryMode {
        Chip = "chip", Contactless = "contactless", Magstripe = "magstripe", Manual = "manual",
        Ecom = "ecom", CredentialOnFile = "cof", Token = "token", Other = "other"
    } otherwise Some(Self::Other)
}

vocabulary! {
    /// How the payer was authenticated.
    AuthMethod {
        None = "none", Pin = "pin", TwoFactor = "sca_2fa", Frictionless = "3ds_frictionless",
        Challenge = "3ds_challenge", Signature = "signature", Biometric = "biometric",
        Other = "other"
    } otherwise Some(Self::Other)
}

vocabulary! {
    /// How the authentication ended.
    AuthResult {
        Passed = "passed", Failed = "failed", Attempted = "attempted", Exempt = "exempt",
        Other = "other"
    } otherwise Some(Self::Other)
}

vocabulary! {
    /// Who is on the other side.
    CounterpartyKind {
        Person = "person", Merchant = "merchant", OwnAccount = "own_account", Unknown = "unknown"
    } otherwise Some(Self::Unknown)
}

vocabulary! {
    /// Verification of payee.
    VopResult {
        Match = "match", Close = "close", NoMatch = "no_match", NotPossible = "not_possible",
        Other = "other"
    } otherwise Some(Self::Other)
}

vocabulary! {
    /// What was decided upstream.
    PriorDecision {
        Approve = "approve", StepUp = "step_up", Review = "review", Hold = "hold",
        Decline = "decline", Other = "other"
    } otherwise Some(Self::Other)
}
