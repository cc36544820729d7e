//! A feed in memory, in order of time: of each payment what an encoder and the risk counts read,
//! and what it turned out to be. Whole transactions take a kilobyte each; here a payment takes a
//! tenth of that, and is made into a transaction again when it is replayed.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

use features::{FeatureSchema, FeedMap, Label, RawTransaction, Row, Source, TokenKey, Transaction};
use indicatif::ProgressBar;

use super::Failed;

/// The payments of everybody.
pub(super) struct Feed {
    /// In order of time; those of one moment in the order of the file.
    pub(super) payments: Vec<Payment>,
    /// Payers by number, in the order of first appearance.
    pub(super) customers: Vec<Customer>,
    /// Cards in the order in which the file names them, each with who paid by it first.
    pub(super) cards: Vec<(u32, u32)>,
    tokens: Vec<String>,
    schema: FeatureSchema,
}

/// One payment; tokens stand by their numbers.
pub(super) struct Payment {
    /// Event time, milliseconds since 1970-01-01 UTC.
    pub(super) ts: i64,
    /// Who pays, among [`Feed::customers`].
    pub(super) customer: u32,
    /// With which card.
    pub(super) card: u32,
    /// Where the money goes.
    pub(super) outlet: Option<u32>,
    /// What the bank believes.
    pub(super) verdict: Verdict,
    /// What the payment is judged by: the truth where the feed tells it, else the bank's belief.
    pub(super) fraud: Option<bool>,
    amount_minor: i64,
    amount_ref_minor: Option<i64>,
    currency: u32,
    mcc: Option<u16>,
    local_hour: Option<u8>,
    /// What else the schema reads of it.
    kept: Box<[f64]>,
    /// Everybody in it, where the schema tells them apart.
    parties: Option<Box<Parties>>,
}

/// Tokens of a payment by the fields that hold them.
struct Parties {
    account: u32,
    card: Option<u32>,
    terminal: Option<u32>,
    merchant: Option<u32>,
    payee: Option<u32>,
}

/// What a bank believes of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Fraud, known from this moment on (milliseconds since 1970-01-01 UTC).
    Fraud {
        /// When it became known.
        known_at: i64,
    },
    /// Genuine.
    Genuine,
    /// Nobody said anything.
    Unknown,
}

/// One payer. An account that stands under two values of the dealing column is two of them.
pub(super) struct Customer {
    /// The account's token.
    pub(super) account: String,
    /// The value that `--column` deals by; empty where nothing is dealt by a column.
    pub(super) column: String,
}

/// Carried columns that mean something here.
#[derive(Clone, Copy, Default)]
pub(super) struct Carried<'a> {
    /// Names each payer's bank.
    pub(super) column: Option<&'a str>,
    /// Tells the truth, for judging only.
    pub(super) truth: Option<&'a str>,
    /// Payments in which this column has this value are not judged.
    pub(super) left_out: Option<(&'a str, &'a str)>,
}

impl Payment {
    /// Days since 1970-01-01 UTC.
    pub(super) fn day(&self) -> i32 {
        i32::try_from(self.ts.div_euclid(DAY_MS)).unwrap_or(i32::MAX)
    }

    /// The amount in minor units.
    pub(super) fn amount(&self) -> i64 {
        self.amount_ref_minor.unwrap_or(self.amount_minor)
    }

    /// What was known before the start of `cutoff_day`: 1 fraud, 0 genuine, NaN nothing. A fraud
    /// that nobody had reported counts as genuine: so would the bank have counted it.
    pub(super) fn label(&self, cutoff_day: i32) -> f32 {
        match self.verdict {
            Verdict::Fraud { known_at } if known_at < i64::from(cutoff_day) * DAY_MS => 1.0,
            Verdict::Fraud { .. } | Verdict::Genuine => 0.0,
            Verdict::Unknown => f32::NAN,
        }
    }
}

impl Feed {
    /// Reads the file at `path` by its map: what the schema asks for is kept of it.
    pub(super) fn read(
        path: &Path,
        (map, key): (&FeedMap, &TokenKey),
        carried: Carried<'_>,
        schema: &FeatureSchema,
    ) -> Result<Self, Failed> {
        let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let bar = ProgressBar::new_spinner();
        let mut reading = Reading::new(schema);
        for row in features::read(map, key, Source::File(file)) {
            match row {
                Ok(row) if schema.check(&row.transaction).is_ok() => reading.push(&row, carried)?,
                Ok(_) => {}
                Err(error) if error.is_fatal() => {
                    return Err(format!("{}: {error}", path.display()).into());
                }
                // `phalanx-agent map check` is where refused rows are looked at.
                Err(_) => {}
            }
            if reading.payments.len().is_multiple_of(1 << 14) {
                bar.set_message(format!("{} payments read", reading.payments.len()));
                bar.tick();
            }
        }
        bar.finish_and_clear();
        Ok(reading.into_feed())
    }

    /// The token of a card or an outlet.
    pub(super) fn token(&self, number: u32) -> &str {
        &self.tokens[number as usize]
    }

    /// All tokens, by number.
    pub(super) fn tokens(&self) -> &[String] {
        &self.tokens
    }

    /// Distinct outlets.
    pub(super) fn outlets(&self) -> usize {
        let outlets = self.payments.iter().filter_map(|payment| payment.outlet);
        outlets.collect::<BTreeSet<_>>().len()
    }

    /// The first and the last day of the feed; none where it is empty.
    pub(super) fn days(&self) -> Option<(i32, i32)> {
        Some((self.payments.first()?.day(), self.payments.last()?.day()))
    }
}

/// Makes payments into transactions, one at a time, in one place.
pub(super) struct Replay<'a> {
    feed: &'a Feed,
    transaction: Transaction,
}

impl<'a> Replay<'a> {
    pub(super) fn new(feed: &'a Feed) -> Self {
        let bare = br#"{"txn_id":"0","ts":0,"rail":"card","amount_minor":0,"currency":"EUR",
            "account_tok":"a"}"#;
        let raw = RawTransaction::from_json(bare).expect("the text above is a JSON object");
        let transaction = Transaction::try_from(raw).expect("it holds every required field");
        Self { feed, transaction }
    }

    /// Payment `at` with the fields that an encoder reads. Its id is its place: labels are told
    /// apart by it within one replay.
    pub(super) fn transaction(&mut self, at: usize) -> &Transaction {
        let (feed, payment) = (self.feed, &self.feed.payments[at]);
        let transaction = &mut self.transaction;
        transaction.txn_id = at.to_string();
        transaction.ts = payment.ts;
        let token = |number: Option<u32>| number.map(|number| feed.token(number).to_owned());
        let account = match &payment.parties {
            Some(parties) => {
                transaction.card_tok = token(parties.card);
                transaction.terminal_tok = token(parties.terminal);
                transaction.merchant_tok = token(parties.merchant);
                transaction.counterparty_tok = token(parties.payee);
                parties.account
            }
            None => {
                transaction.terminal_tok = token(payment.outlet);
                payment.card
            }
        };
        feed.token(account).clone_into(&mut transaction.account_tok);
        transaction.amount_minor = payment.amount_minor;
        transaction.amount_ref_minor = payment.amount_ref_minor;
        feed.token(payment.currency)
            .clone_into(&mut transaction.currency);
        transaction.mcc = payment.mcc;
        transaction.local_hour = payment.local_hour;
        feed.schema.restore(&payment.kept, transaction);
        transaction
    }

    /// What the bank would report of payment `at`; nothing where there is nothing to report.
    pub(super) fn report(&self, at: usize) -> Option<Label> {
        match self.feed.payments[at].verdict {
            Verdict::Fraud { known_at } => Some(Label {
                txn_id: at.to_string(),
                fraud: true,
                known_at,
                source: None,
            }),
            Verdict::Genuine | Verdict::Unknown => None,
        }
    }
}

struct Reading<'a> {
    schema: &'a FeatureSchema,
    payments: Vec<Payment>,
    customers: Vec<Customer>,
    tokens: Vec<String>,
    numbers: BTreeMap<String, u32>,
    payers: BTreeMap<(String, String), u32>,
}

impl<'a> Reading<'a> {
    fn new(schema: &'a FeatureSchema) -> Self {
        Self {
            schema,
            payments: Vec::new(),
            customers: Vec::new(),
            tokens: Vec::new(),
            numbers: BTreeMap::new(),
            payers: BTreeMap::new(),
        }
    }

    fn push(&mut self, row: &Row, carried: Carried<'_>) -> Result<(), Failed> {
        let transaction = &row.transaction;
        let column = match carried.column {
            Some(name) => carry(row, name)?.to_owned(),
            None => String::new(),
        };
        let verdict = match &row.label {
            Some(label) if label.fraud => Verdict::Fraud {
                known_at: label.known_at,
            },
            Some(_) => Verdict::Genuine,
            None => Verdict::Unknown,
        };
        let fraud = match carried.truth {
            Some(name) => Some(matches!(carry(row, name)?, "1" | "true")),
            None => row.label.as_ref().map(|label| label.fraud),
        };
        let is_left_out = match carried.left_out {
            Some((name, value)) => carry(row, name)? == value,
            None => false,
        };
        let fraud = fraud.filter(|_| !is_left_out);
        let payment = Payment {
            ts: transaction.ts,
            customer: self.customer(&transaction.account_tok, column),
            card: self.number(transaction.card()),
            outlet: transaction.outlet().map(|outlet| self.number(outlet)),
            verdict,
            fraud,
            amount_minor: transaction.amount_minor,
            amount_ref_minor: transaction.amount_ref_minor,
            currency: self.number(&transaction.currency),
            mcc: transaction.mcc,
            local_hour: transaction.local_hour,
            kept: {
                let mut kept = Vec::with_capacity(self.schema.kept_len());
                self.schema.keep(transaction, &mut kept);
                kept.into()
            },
            parties: self.parties(transaction),
        };
        self.payments.push(payment);
        Ok(())
    }

    fn parties(&mut self, transaction: &Transaction) -> Option<Box<Parties>> {
        self.schema.reads_parties().then(|| {
            let mut optional = |token: &Option<String>| Some(self.number(token.as_deref()?));
            let [card, terminal, merchant, payee] = [
                &transaction.card_tok,
                &transaction.terminal_tok,
                &transaction.merchant_tok,
                &transaction.counterparty_tok,
            ]
            .map(&mut optional);
            let account = self.number(&transaction.account_tok);
            Box::new(Parties {
                account,
                card,
                terminal,
                merchant,
                payee,
            })
        })
    }

    fn customer(&mut self, account: &str, column: String) -> u32 {
        let next = number(self.customers.len());
        match self.payers.entry((account.to_owned(), column)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(place) => {
                let (account, column) = place.key().clone();
                self.customers.push(Customer { account, column });
                *place.insert(next)
            }
        }
    }

    fn number(&mut self, token: &str) -> u32 {
        if let Some(number) = self.numbers.get(token) {
            return *number;
        }
        let next = number(self.tokens.len());
        self.tokens.push(token.to_owned());
        self.numbers.insert(token.to_owned(), next);
        next
    }

    fn into_feed(self) -> Feed {
        let mut payments = self.payments;
        let mut seen = BTreeSet::new();
        let first = payments.iter().filter(|of| seen.insert(of.card));
        let cards = first.map(|of| (of.card, of.customer)).collect();
        payments.sort_by_key(|payment| payment.ts);
        Feed {
            payments,
            customers: self.customers,
            cards,
            tokens: self.tokens,
            schema: self.schema.clone(),
        }
    }
}

fn carry<'a>(row: &'a Row, name: &str) -> Result<&'a str, Failed> {
    let value = row.extra.get(name).map(String::as_str);
    let missing = || format!("the mapping file carries no column {name:?}: add it under [carry]");
    Ok(value.ok_or_else(missing)?)
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("four billion tokens do not fit this memory")
}

pub(super) const DAY_MS: i64 = 86_400_000;
