//! A payment in bytes: verdict, payment, parties, the schema's fields, each number little-endian.
//! Whatever may be missing has its place all the same, so that a schema's records have one width.
//! They live no longer than the process that wrote them: there is no version.

use std::io;
use std::num::NonZeroU32;

use super::{Amount, Parties, Payment, Verdict};

/// All that is kept of a payment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    pub(super) payment: Payment,
    /// Where the schema tells them apart.
    pub(super) parties: Option<Parties>,
    /// As many as the schema declares.
    pub(super) fields: Vec<f64>,
}

impl Record {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let payment = &self.payment;
        let mut bytes = Vec::with_capacity(96);
        bytes.extend(verdict_bytes(payment.verdict));
        bytes.extend(payment.ts.to_le_bytes());
        bytes.extend(payment.card.to_le_bytes());
        let outlet = payment.outlet.map_or(0, NonZeroU32::get);
        bytes.extend(outlet.to_le_bytes());
        let (amount, currency) = match payment.amount {
            Amount::Reference(amount) => (amount, None),
            Amount::Own(amount, currency) => (amount, Some(currency)),
        };
        bytes.extend(amount.to_le_bytes());
        put_number(&mut bytes, currency);
        put_number(&mut bytes, payment.mcc.map(u32::from));
        put_number(&mut bytes, payment.local_hour.map(u32::from));
        if let Some(parties) = &self.parties {
            bytes.extend(parties.account.to_le_bytes());
            for party in [parties.terminal, parties.merchant, parties.payee] {
                put_number(&mut bytes, party);
            }
        }
        for field in &self.fields {
            bytes.extend(field.to_le_bytes());
        }
        bytes
    }

    /// Reads back what [`Self::to_bytes`] wrote, of a schema that tells parties apart or not.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] where the bytes are no record.
    pub(super) fn parse(bytes: &[u8], has_parties: HasParties) -> io::Result<Self> {
        let mut rest = Bytes(bytes);
        let record = rest.record(has_parties);
        record.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    }

    /// Writes another verdict into a record's bytes.
    pub(super) fn judge(bytes: &mut [u8], verdict: Verdict) {
        bytes[..VERDICT_BYTES].copy_from_slice(&verdict_bytes(verdict));
    }
}

/// Whether a schema's records hold everybody in a payment, or the card and the outlet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HasParties {
    Yes,
    No,
}

const VERDICT_BYTES: usize = 1 + 8 + 8;

const GENUINE: u8 = 0;
const UNKNOWN: u8 = 1;
const CLEARED: u8 = 2;
const FRAUD: u8 = 3;
const WITHDRAWN: u8 = 4;

fn verdict_bytes(verdict: Verdict) -> [u8; VERDICT_BYTES] {
    let (kind, known_at, withdrawn_at) = match verdict {
        Verdict::Genuine => (GENUINE, 0, 0),
        Verdict::Unknown => (UNKNOWN, 0, 0),
        Verdict::Cleared { known_at } => (CLEARED, known_at, 0),
        Verdict::Fraud {
            known_at,
            withdrawn_at: None,
        } => (FRAUD, known_at, 0),
        Verdict::Fraud {
            known_at,
            withdrawn_at: Some(withdrawn_at),
        } => (WITHDRAWN, known_at, withdrawn_at),
    };
    let mut bytes = [0; VERDICT_BYTES];
    bytes[0] = kind;
    bytes[1..9].copy_from_slice(&i64::to_le_bytes(known_at));
    bytes[9..].copy_from_slice(&i64::to_le_bytes(withdrawn_at));
    bytes
}

fn put_number(bytes: &mut Vec<u8>, number: Option<u32>) {
    bytes.push(u8::from(number.is_some()));
    bytes.extend(number.unwrap_or(0).to_le_bytes());
}

/// What is left to read. Nothing where it is too short, or says what nobody writes.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn record(&mut self, has_parties: HasParties) -> Option<Record> {
        let payment = Payment {
            verdict: self.verdict()?,
            ts: i64::from_le_bytes(self.take()?),
            card: u32::from_le_bytes(self.take()?),
            outlet: NonZeroU32::new(u32::from_le_bytes(self.take()?)),
            amount: self.amount()?,
            mcc: narrow(self.number()?)?,
            local_hour: narrow(self.number()?)?,
        };
        let parties = match has_parties {
            HasParties::No => None,
            HasParties::Yes => Some(Parties {
                account: u32::from_le_bytes(self.take()?),
                terminal: self.number()?,
                merchant: self.number()?,
                payee: self.number()?,
            }),
        };
        let mut fields = Vec::with_capacity(self.0.len() / 8);
        while !self.0.is_empty() {
            fields.push(f64::from_le_bytes(self.take()?));
        }
        Some(Record {
            payment,
            parties,
            fields,
        })
    }

    fn verdict(&mut self) -> Option<Verdict> {
        let [kind] = self.take::<1>()?;
        let known_at = i64::from_le_bytes(self.take()?);
        let withdrawn_at = i64::from_le_bytes(self.take()?);
        match kind {
            GENUINE => Some(Verdict::Genuine),
            UNKNOWN => Some(Verdict::Unknown),
            CLEARED => Some(Verdict::Cleared { known_at }),
            FRAUD => Some(Verdict::Fraud {
                known_at,
                withdrawn_at: None,
            }),
            WITHDRAWN => Some(Verdict::Fraud {
                known_at,
                withdrawn_at: Some(withdrawn_at),
            }),
            _ => None,
        }
    }

    fn amount(&mut self) -> Option<Amount> {
        let amount = i64::from_le_bytes(self.take()?);
        let currency = self.number()?;
        Some(match currency {
            None => Amount::Reference(amount),
            Some(currency) => Amount::Own(amount, currency),
        })
    }

    /// A number that may be missing.
    fn number(&mut self) -> Option<Option<u32>> {
        let [is_there] = self.take::<1>()?;
        let number = u32::from_le_bytes(self.take()?);
        match is_there {
            0 => Some(None),
            1 => Some(Some(number)),
            _ => None,
        }
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }
}

fn narrow<T: TryFrom<u32>>(number: Option<u32>) -> Option<Option<T>> {
    match number {
        None => Some(None),
        Some(number) => T::try_from(number).ok().map(Some),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn verdicts() -> impl Strategy<Value = Verdict> {
        prop_oneof![
            Just(Verdict::Genuine),
            Just(Verdict::Unknown),
            any::<i64>().prop_map(|known_at| Verdict::Cleared { known_at }),
            (any::<i64>(), any::<Option<i64>>()).prop_map(|(known_at, withdrawn_at)| {
                Verdict::Fraud {
                    known_at,
                    withdrawn_at,
                }
            }),
        ]
    }

    fn payments() -> impl Strategy<Value = Payment> {
        let amount = prop_oneof![
            any::<i64>().prop_map(Amount::Reference),
            (any::<i64>(), any::<u32>())
                .prop_map(|(amount, currency)| Amount::Own(amount, currency)),
        ];
        let numbers = (any::<i64>(), any::<u32>(), any::<u32>());
        let rest = (any::<Option<u16>>(), any::<Option<u8>>());
        (verdicts(), amount, numbers, rest).prop_map(
            |(verdict, amount, (ts, card, outlet), (mcc, local_hour))| Payment {
                ts,
                verdict,
                card,
                outlet: NonZeroU32::new(outlet % 3),
                amount,
                mcc,
                local_hour,
            },
        )
    }

    fn parties() -> impl Strategy<Value = Parties> {
        let optional = || any::<Option<u32>>();
        (any::<u32>(), (optional(), optional(), optional())).prop_map(
            |(account, (terminal, merchant, payee))| Parties {
                account,
                terminal,
                merchant,
                payee,
            },
        )
    }

    fn has(parties: Option<Parties>) -> HasParties {
        match parties {
            Some(_) => HasParties::Yes,
            None => HasParties::No,
        }
    }

    proptest! {
        // Fields may be no number at all, which says that they are missing: bits are compared.
        // Planted faults: a number too narrow, or two places in another order, fail here.
        #[test]
        fn every_payment_comes_back_as_it_was(
            payment in payments(),
            parties in prop::option::of(parties()),
            fields in prop::collection::vec(any::<u64>(), 0..4),
            verdict in verdicts(),
        ) {
            let fields: Vec<f64> = fields.into_iter().map(f64::from_bits).collect();
            let record = Record { payment, parties, fields };
            let mut bytes = record.to_bytes();
            let found = Record::parse(&bytes, has(parties)).unwrap();
            prop_assert_eq!((found.payment, found.parties), (payment, parties));
            let bits = |fields: &[f64]| fields.iter().map(|f| f.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&found.fields), bits(&record.fields));

            Record::judge(&mut bytes, verdict);
            let judged = Record::parse(&bytes, has(parties)).unwrap().payment;
            prop_assert_eq!(judged, Payment { verdict, ..payment });
        }

        #[test]
        fn whatever_is_missing_a_schemas_records_have_one_width(
            (one, other) in (payments(), payments()),
            parties in prop::collection::vec(parties(), 2),
        ) {
            let width = |payment, parties| {
                let fields = vec![1.0; 3];
                Record { payment, parties, fields }.to_bytes().len()
            };
            prop_assert_eq!(width(one, None), width(other, None));
            prop_assert_eq!(
                width(one, Some(parties[0])),
                width(other, Some(parties[1]))
            );
        }

        #[test]
        fn bytes_of_nobody_are_refused_or_read_and_never_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..120),
        ) {
            for has_parties in [HasParties::Yes, HasParties::No] {
                if let Ok(record) = Record::parse(&bytes, has_parties) {
                    prop_assert_eq!(record.to_bytes().len(), bytes.len());
                }
            }
        }
    }

    #[test]
    fn a_payment_takes_56_bytes() {
        let payment = Payment {
            ts: 1,
            verdict: Verdict::Genuine,
            card: 1,
            outlet: None,
            amount: Amount::Reference(1),
            mcc: None,
            local_hour: None,
        };
        let record = Record {
            payment,
            parties: None,
            fields: Vec::new(),
        };
        let mut bytes = record.to_bytes();
        assert_eq!(bytes.len(), 56);
        bytes[0] = 5;
        let refused = Record::parse(&bytes, HasParties::No).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    }
}
