//! The banks of one seed: who banks where, whose labels there are, and every bank's encoded rows.
//! Rows are encoded when they are first asked for, and serve every week and every setting.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crypto::Seed;
use features::{FeatureSchema, RiskTable};
use model::Examples;
use model::examples::is_held_out;

use super::Failed;
use super::book::{Book, Encoding, Judged, Reports};
use super::calendar::Week;
use super::feed::Feed;
use super::risk::RiskPlan;
use super::split;
use super::sum::{Masks, Summing};
use super::training::on_all_processors;

/// What does not change from seed to seed.
pub(super) struct Ground {
    pub(super) feed: Feed,
    pub(super) schema: FeatureSchema,
    /// Days whose rows some week needs.
    pub(super) days: Range<i32>,
    /// Days until a label is trusted.
    pub(super) delay: u16,
    pub(super) masks: Masks,
    /// By token: whether the card is kept from fine-tuning, for choosing thresholds.
    held_out: Vec<bool>,
    pooled: OnceLock<Book>,
}

/// The banks of one seed.
pub(super) struct Consortium<'a> {
    pub(super) ground: &'a Ground,
    pub(super) banks: u16,
    /// Of them, the last so many are new.
    pub(super) newcomers: u16,
    pub(super) seed: Seed,
    banks_of: Vec<u16>,
    lots: Vec<f64>,
    members: OnceLock<Vec<Book>>,
    with_newcomers: OnceLock<Vec<Book>>,
}

/// Which labels are shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown<'a> {
    pub(super) week: &'a Week,
    /// Share of customers that have labels.
    pub(super) share: f64,
    /// Which cards.
    pub(super) side: Side,
}

/// Cards to learn from, or those held out for choosing a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Train,
    Validate,
}

impl Ground {
    pub(super) fn new(
        feed: Feed,
        schema: FeatureSchema,
        days: Range<i32>,
        delay: u16,
        masks: Masks,
    ) -> Self {
        let held_out = feed
            .tokens()
            .iter()
            .map(|token| is_held_out(token))
            .collect();
        Self {
            feed,
            schema,
            days,
            delay,
            masks,
            held_out,
            pooled: OnceLock::new(),
        }
    }

    /// Everybody's rows, encoded as one bank's.
    pub(super) fn pooled(&self) -> Result<&Book, Failed> {
        if self.pooled.get().is_none() {
            let encoding = self.encoding(None, Reports::Known);
            let book = Book::encode(&self.feed, &self.schema, &encoding, |_| true)?;
            let _ = self.pooled.set(book);
        }
        Ok(self.pooled.get().expect("it was set a line above"))
    }

    /// Whether the card of this token is kept from fine-tuning.
    pub(super) fn is_held_out(&self, card: u32) -> bool {
        self.held_out[card as usize]
    }

    fn encoding(&self, table: Option<Arc<RiskTable>>, reports: Reports) -> Encoding {
        Encoding {
            table,
            reports,
            delay: self.delay,
            days: self.days.clone(),
        }
    }
}

impl<'a> Consortium<'a> {
    /// The banks that a deal makes with this seed.
    pub(super) fn new(
        ground: &'a Ground,
        deal: split::Deal<'_>,
        newcomers: u16,
        seed: u64,
    ) -> Result<Self, Failed> {
        let feed = &ground.feed;
        let lot = |customer| {
            let drawn = split::lot(feed, customer, "labelled", seed);
            let head = drawn.first_chunk().expect("32 bytes hold eight");
            u64::from_be_bytes(*head) as f64 / 2_f64.powi(64)
        };
        Ok(Self {
            ground,
            banks: deal.banks,
            newcomers,
            seed: Seed::from_entropy(crypto::tagged("csa1/learn", &[&seed.to_be_bytes()]).0),
            banks_of: split::banks_of(feed, deal, seed)?,
            lots: (0..feed.customers.len()).map(lot).collect(),
            members: OnceLock::new(),
            with_newcomers: OnceLock::new(),
        })
    }

    /// The bank of each customer.
    pub(super) fn banks_of(&self) -> &[u16] {
        &self.banks_of
    }

    /// By customer: has labels where the share of those with labels is above this.
    pub(super) fn lots(&self) -> &[f64] {
        &self.lots
    }

    /// Every bank's rows, where all of them count risk together.
    pub(super) fn members(&self) -> Result<&[Book], Failed> {
        self.books(&self.members, 0)
    }

    /// Every bank's rows, where the newcomers have no labels and count no risk.
    pub(super) fn with_newcomers(&self) -> Result<&[Book], Failed> {
        self.books(&self.with_newcomers, self.newcomers)
    }

    fn books<'b>(
        &'b self,
        kept: &'b OnceLock<Vec<Book>>,
        newcomers: u16,
    ) -> Result<&'b [Book], Failed> {
        if kept.get().is_none() {
            let _ = kept.set(self.encode(newcomers)?);
        }
        Ok(kept.get().expect("it was set a line above"))
    }

    fn encode(&self, newcomers: u16) -> Result<Vec<Book>, Failed> {
        let ground = self.ground;
        let old = self.banks - newcomers;
        let plan = RiskPlan::new(&ground.feed, &ground.days, ground.delay);
        let mut summing = Summing::new(self.seed.derive("risk", u64::from(old)), ground.masks);
        let is_old = |bank| bank < old;
        let table = plan.table(&ground.feed, &self.banks_of, is_old, &mut summing)?;
        on_all_processors((0..self.banks).collect(), |bank| {
            let reports = if bank < old {
                Reports::Known
            } else {
                Reports::None
            };
            let encoding = ground.encoding(Some(table.clone()), reports);
            let is_own = |customer: u32| self.banks_of[customer as usize] == bank;
            Ok(Book::encode(
                &ground.feed,
                &ground.schema,
                &encoding,
                is_own,
            )?)
        })
    }

    /// A book's rows of pretraining, without labels.
    pub(super) fn unlabelled(&self, book: &Book, week: &Week) -> Examples {
        book.rows(&self.ground.feed, &week.pretrain(), |_| f32::NAN)
    }

    /// A book's rows of the training days, labelled as they are shown.
    pub(super) fn training(&self, book: &Book, shown: Shown<'_>) -> Examples {
        let label = |at| self.label(at, shown);
        book.rows(&self.ground.feed, &shown.week.train(), label)
    }

    /// A book's validation slice of the training days.
    pub(super) fn validation(&self, book: &Book, shown: Shown<'_>) -> Judged {
        let label = |at| self.label(at, shown);
        book.labelled(&self.ground.feed, &shown.week.train(), label)
    }

    /// The label of a payment as it is shown; NaN where it is not.
    fn label(&self, at: usize, shown: Shown<'_>) -> f32 {
        let payment = &self.ground.feed.payments[at];
        let is_held_out = self.ground.is_held_out(payment.card);
        let is_shown = self.lots[payment.customer as usize] < shown.share
            && is_held_out == (shown.side == Side::Validate);
        match is_shown {
            true => payment.label(shown.week.test_from),
            false => f32::NAN,
        }
    }
}
