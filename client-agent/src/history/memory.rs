//! Payments as an encoder and the risk counts read them, nothing else: on disk, at 56 bytes each
//! (`memory/record.rs`, `memory/file.rs`); in memory is what grows with cards, outlets and days.
//! A whole transaction takes about a kilobyte; reading the bank's own file again for each order
//! takes ten times as long. A test holds vectors from here against those of whole transactions.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroU32;
use std::ops::Range;
use std::path::PathBuf;

use features::{FeatureSchema, KnownFraud, Label, RawTransaction, Transaction};

mod file;
mod record;

use file::Records;
use record::{HasParties, Record};

/// What is known of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Fraud, known from this moment on (milliseconds since 1970-01-01 UTC).
    Fraud {
        /// When it became known.
        known_at: i64,
        /// When somebody said that it was none after all; genuine from then on.
        withdrawn_at: Option<i64>,
    },
    /// Genuine, known from this moment on, in a feed where silence means nothing.
    Cleared {
        /// When it became known.
        known_at: i64,
    },
    /// Genuine, as far as anybody will say.
    Genuine,
    /// Nobody said anything, and silence means nothing in this feed.
    Unknown,
}

impl Verdict {
    /// What a label says, or `silence` where there is none.
    pub(super) fn new(label: Option<&Label>, silence: Self) -> Self {
        label.map_or(silence, |label| match label.fraud {
            true => Self::Fraud {
                known_at: label.known_at,
                withdrawn_at: None,
            },
            false => silence.cleared(label.known_at),
        })
    }

    /// What a first word of genuine, known from this moment on, makes of silence.
    fn cleared(self, known_at: i64) -> Self {
        match self {
            Self::Genuine => Self::Genuine,
            Self::Unknown | Self::Cleared { .. } | Self::Fraud { .. } => Self::Cleared { known_at },
        }
    }

    /// What these reports say, in the order of [`Report`], or `silence` where there is none. Each
    /// supersedes those before it. Of a fraud that was withdrawn and reported again the last
    /// report counts: before it, a reader of the past misses a fraud and never sees one early.
    pub(super) fn of_reports(reports: &[Report], silence: Self) -> Self {
        reports
            .iter()
            .fold(silence, |before, report| match (report.fraud, before) {
                (
                    true,
                    Self::Fraud {
                        withdrawn_at: None, ..
                    },
                )
                | (
                    false,
                    Self::Fraud {
                        withdrawn_at: Some(_),
                        ..
                    },
                ) => before,
                // Said at the moment of the withdrawal, which it outdoes.
                (
                    true,
                    Self::Fraud {
                        known_at,
                        withdrawn_at: Some(at),
                    },
                ) if at == report.known_at => Self::Fraud {
                    known_at,
                    withdrawn_at: None,
                },
                (
                    true,
                    Self::Fraud { .. } | Self::Cleared { .. } | Self::Genuine | Self::Unknown,
                ) => Self::Fraud {
                    known_at: report.known_at,
                    withdrawn_at: None,
                },
                (false, Self::Fraud { known_at, .. }) => Self::Fraud {
                    known_at,
                    withdrawn_at: Some(report.known_at),
                },
                (false, Self::Cleared { .. }) => before,
                (false, Self::Genuine | Self::Unknown) => before.cleared(report.known_at),
            })
    }

    /// The fewest reports that say this, in their order; of what stands for silence none.
    pub(super) fn reports(self) -> Vec<Report> {
        let report = |known_at, fraud| Report { known_at, fraud };
        match self {
            Self::Fraud {
                known_at,
                withdrawn_at,
            } => {
                let withdrawal = withdrawn_at.map(|at| report(at, false));
                std::iter::once(report(known_at, true))
                    .chain(withdrawal)
                    .collect()
            }
            Self::Cleared { known_at } => vec![report(known_at, false)],
            Self::Genuine | Self::Unknown => Vec::new(),
        }
    }

    /// Since when, and until when, the payment was known for a fraud.
    #[must_use]
    pub fn known_fraud(self) -> Option<KnownFraud> {
        match self {
            Self::Fraud {
                known_at,
                withdrawn_at,
            } => Some(KnownFraud {
                known_at,
                withdrawn_at,
            }),
            Self::Cleared { .. } | Self::Genuine | Self::Unknown => None,
        }
    }
}

/// What somebody said of a payment. In the order of time; of two at one moment the fraud is later,
/// as it is to the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Report {
    /// Since when it is known, milliseconds since 1970-01-01 UTC.
    pub known_at: i64,
    /// Fraud, or genuine.
    pub fraud: bool,
}

/// One payment, with cards and outlets by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Event time, milliseconds since 1970-01-01 UTC.
    pub ts: i64,
    /// What is known of it.
    pub verdict: Verdict,
    /// The card's number, in the order of first appearance among all tokens.
    pub card: u32,
    /// One more than the outlet's number: so its absence costs nothing.
    outlet: Option<NonZeroU32>,
    amount: Amount,
    mcc: Option<u16>,
    local_hour: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Amount {
    /// Minor units of the bank's reference currency.
    Reference(i64),
    /// Minor units of the numbered currency.
    Own(i64, u32),
}

impl Payment {
    /// Days since 1970-01-01 UTC.
    #[must_use]
    pub fn day(&self) -> i32 {
        i32::try_from(self.ts.div_euclid(DAY_MS)).unwrap_or(i32::MAX)
    }
}

/// Payments in order, and every token once.
#[derive(Debug)]
pub(super) struct Memory {
    schema: FeatureSchema,
    records: Records,
    /// Payments of each day.
    days: BTreeMap<i32, u64>,
    last_ts: Option<i64>,
    tokens: Vec<String>,
    numbers: BTreeMap<String, u32>,
}

/// Everybody in a payment beside the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parties {
    account: u32,
    terminal: Option<u32>,
    merchant: Option<u32>,
    payee: Option<u32>,
}

impl Memory {
    /// Of a schema's payments, kept in a file in `folder`.
    pub(super) fn new(schema: FeatureSchema, folder: PathBuf) -> Self {
        Self {
            schema,
            records: Records::new(folder),
            days: BTreeMap::new(),
            last_ts: None,
            tokens: Vec::new(),
            numbers: BTreeMap::new(),
        }
    }

    pub(super) fn schema(&self) -> &FeatureSchema {
        &self.schema
    }

    /// # Errors
    /// Where the disk refuses; the payment is not among them then.
    pub(super) fn push(&mut self, transaction: &Transaction, verdict: Verdict) -> io::Result<()> {
        if self.numbers.is_empty() {
            // Something follows after all.
            let numbers = (0..).zip(&self.tokens);
            self.numbers = numbers
                .map(|(number, token)| (token.clone(), number))
                .collect();
        }
        let amount = match transaction.amount_ref_minor {
            Some(amount) => Amount::Reference(amount),
            None => Amount::Own(transaction.amount_minor, self.number(&transaction.currency)),
        };
        let payment = Payment {
            ts: transaction.ts,
            verdict,
            card: self.number(transaction.card()),
            outlet: transaction
                .outlet()
                .and_then(|outlet| NonZeroU32::new(self.number(outlet) + 1)),
            amount,
            mcc: transaction.mcc,
            local_hour: transaction.local_hour,
        };
        let mut record = Record {
            payment,
            parties: None,
            fields: Vec::new(),
        };
        self.schema.keep(transaction, &mut record.fields);
        if self.schema.reads_parties() {
            record.parties = Some(self.parties(transaction));
        }
        self.records.push(&record.to_bytes())?;
        *self.days.entry(payment.day()).or_default() += 1;
        self.last_ts = self.last_ts.max(Some(payment.ts));
        Ok(())
    }

    fn parties(&mut self, transaction: &Transaction) -> Parties {
        let mut optional = |token: &Option<String>| {
            let token = token.as_ref()?;
            Some(self.number(token))
        };
        let [terminal, merchant, payee] = [
            optional(&transaction.terminal_tok),
            optional(&transaction.merchant_tok),
            optional(&transaction.counterparty_tok),
        ];
        Parties {
            account: self.number(&transaction.account_tok),
            terminal,
            merchant,
            payee,
        }
    }

    /// Nothing follows for a while: what only pushing needs is dropped.
    pub(super) fn settle(&mut self) {
        self.numbers = BTreeMap::new();
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// The latest time of a payment.
    pub(super) fn last_ts(&self) -> Option<i64> {
        self.last_ts
    }

    /// What is known of the payment in a place.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub(super) fn verdict(&self, at: usize) -> io::Result<Verdict> {
        let record = Record::parse(&self.records.get(at)?, self.has_parties())?;
        Ok(record.payment.verdict)
    }

    /// Changes what is known of the payment in a place, and gives its day; nothing where that was
    /// known already.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub(super) fn judge(&mut self, at: usize, verdict: Verdict) -> io::Result<Option<i32>> {
        let mut bytes = self.records.get(at)?;
        let payment = Record::parse(&bytes, self.has_parties())?.payment;
        if payment.verdict == verdict {
            return Ok(None);
        }
        Record::judge(&mut bytes, verdict);
        self.records.put(at, &bytes)?;
        Ok(Some(payment.day()))
    }

    /// Payments of these days.
    pub(super) fn count(&self, days: &Range<i64>) -> u64 {
        let counts = self.days.iter();
        let of_days = counts.filter(|(day, _)| days.contains(&i64::from(**day)));
        of_days.map(|(_, count)| *count).sum()
    }

    pub(super) fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// Each payment in order, as a transaction with the fields that an encoder reads. Its id is
    /// its place: labels are told apart by it within one replay.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub(super) fn replay(&self, each: &mut dyn FnMut(Payment, &Transaction)) -> io::Result<()> {
        let (mut transaction, mut at) = (blank(), 0_usize);
        let has_parties = self.has_parties();
        self.records.each(|bytes| {
            let record = Record::parse(bytes, has_parties)?;
            transaction.txn_id = at.to_string();
            self.fill(&mut transaction, &record)?;
            each(record.payment, &transaction);
            at += 1;
            Ok(())
        })
    }

    fn has_parties(&self) -> HasParties {
        match self.schema.reads_parties() {
            true => HasParties::Yes,
            false => HasParties::No,
        }
    }

    fn fill(&self, transaction: &mut Transaction, record: &Record) -> io::Result<()> {
        let payment = &record.payment;
        transaction.ts = payment.ts;
        match &record.parties {
            None => {
                let account = self.token(payment.card)?;
                transaction.account_tok.clone_from(account);
                let outlet = payment.outlet.map(|outlet| outlet.get() - 1);
                transaction.terminal_tok = self.optional(outlet)?;
            }
            Some(parties) => self.fill_parties(transaction, payment, parties)?,
        }
        self.schema.restore(&record.fields, transaction);
        transaction.mcc = payment.mcc;
        transaction.local_hour = payment.local_hour;
        match payment.amount {
            Amount::Reference(amount) => transaction.amount_ref_minor = Some(amount),
            Amount::Own(amount, currency) => {
                transaction.amount_ref_minor = None;
                transaction.amount_minor = amount;
                transaction.currency.clone_from(self.token(currency)?);
            }
        }
        Ok(())
    }

    fn fill_parties(
        &self,
        transaction: &mut Transaction,
        payment: &Payment,
        parties: &Parties,
    ) -> io::Result<()> {
        transaction.card_tok = self.optional(Some(payment.card))?;
        let account = self.token(parties.account)?;
        transaction.account_tok.clone_from(account);
        transaction.terminal_tok = self.optional(parties.terminal)?;
        transaction.merchant_tok = self.optional(parties.merchant)?;
        transaction.counterparty_tok = self.optional(parties.payee)?;
        Ok(())
    }

    fn optional(&self, number: Option<u32>) -> io::Result<Option<String>> {
        number.map(|number| self.token(number).cloned()).transpose()
    }

    /// Of a number that was read back: a disk may give what nobody wrote.
    fn token(&self, number: u32) -> io::Result<&String> {
        let unknown = || io::Error::from(io::ErrorKind::InvalidData);
        self.tokens.get(number as usize).ok_or_else(unknown)
    }

    fn number(&mut self, token: &str) -> u32 {
        if let Some(number) = self.numbers.get(token) {
            return *number;
        }
        let number = u32::try_from(self.tokens.len())
            .expect("seven tokens for each of PAYMENTS_MAX payments fit 32 bits");
        self.tokens.push(token.to_owned());
        self.numbers.insert(token.to_owned(), number);
        number
    }
}

/// A transaction whose every field that is read gets filled in.
fn blank() -> Transaction {
    let bare = br#"{"txn_id":"0","ts":0,"rail":"card","amount_minor":0,"currency":"EUR",
        "account_tok":"a"}"#;
    let raw = RawTransaction::from_json(bare).expect("the text above is a JSON object");
    Transaction::try_from(raw).expect("the object above holds every required field")
}

pub(super) const DAY_MS: i64 = 86_400_000;
