//! One week of one seed: what each setting trains, and how it scores the judged days. Pretraining
//! is done once and serves every share of labels, since it reads none.

use std::path::Path;
use std::sync::OnceLock;

use crypto::Seed;
use features::FeatureSchema;
use model::{Device, Examples, NetworkSize};
use protocol::genesis::{self, Release};
use protocol::plan::ModelTerms;

use super::Failed;
use super::book::{Book, Judged};
use super::calendar::{Compromised, Week};
use super::consortium::{Consortium, Ground, Shown, Side};
use super::federation::{Federation, Learnt, Member};
use super::measures::{Outcome, Scored, median, threshold};
use super::recipe::{Kind, Recipe, Together, model_terms};
use super::setting::Setting;
use super::sum::Summing;
use super::training::{self, Alone, Network, on_all_processors};
use super::warm;

mod personal;
mod unlabelled;

/// What is trained, and how.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) recipe: Recipe,
    pub(super) together: Together,
    /// Whether a federation reads the federation's risk table.
    pub(super) shared_risk: SharedRisk,
    /// Where libtorch computes.
    pub(super) device: Device,
    /// How large the network is.
    pub(super) size: NetworkSize,
    /// Whose encoder all arms start from; nothing where they start from their seed alone.
    pub(super) warm: Option<Release>,
}

/// Whether the columns of the federation's risk table are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SharedRisk {
    Shown,
    Hidden,
}

/// One week of one seed.
pub(super) struct Arms<'a> {
    consortium: &'a Consortium<'a>,
    week: Week,
    terms: &'a Terms,
    model: ModelTerms,
    seed: Seed,
    compromised: Compromised,
    together: OnceLock<Learnt>,
    alone: OnceLock<Vec<Vec<f32>>>,
    pooled: OnceLock<Vec<f32>>,
}

/// A model and the banks it is fitted to and judged on.
struct Fitted {
    parameters: Vec<f32>,
    losses: Vec<f32>,
}

/// One bank's rows of a week, as one setting sees them.
struct Sight {
    validation: Judged,
    judged: Judged,
}

impl<'a> Arms<'a> {
    pub(super) fn new(
        consortium: &'a Consortium<'a>,
        week: Week,
        terms: &'a Terms,
        genesis_seed: u64,
    ) -> Self {
        let ground = consortium.ground;
        let from = u64::try_from(week.train_from).unwrap_or(0);
        let drawn = model_terms(&ground.schema, terms.size, genesis_seed);
        let model = match &terms.warm {
            Some(release) => warm::on(drawn, release),
            None => drawn,
        };
        Self {
            consortium,
            week,
            terms,
            model,
            seed: consortium.seed.derive("week", from),
            compromised: Compromised::new(&ground.feed, &week),
            together: OnceLock::new(),
            alone: OnceLock::new(),
            pooled: OnceLock::new(),
        }
    }

    /// What comes of a setting where this share of the customers has labels: itself, and what is
    /// had with it. `hear` is told what is being done.
    pub(super) fn run(
        &self,
        setting: Setting,
        share: f64,
        hear: &mut dyn FnMut(&str),
    ) -> Result<Vec<(Setting, Outcome)>, Failed> {
        let one = |outcome| Ok(vec![(setting, outcome)]);
        match setting {
            Setting::Local => one(self.local(share, SharedRisk::Hidden, hear)?),
            Setting::LocalSharedRisk => one(self.local(share, SharedRisk::Shown, hear)?),
            Setting::Pooled => one(self.pooled(share, hear)?),
            Setting::Federated
            | Setting::Personal
            | Setting::NewBankMember
            | Setting::UnsupervisedLive => self.federated(share, hear),
            Setting::NewBank => one(self.new_bank(share, hear)?),
            Setting::Unsupervised => one(self.unsupervised(hear)?),
            Setting::Ratio => one(self.ratio()?),
        }
    }

    /// Keeps the encoder that all banks pretrain together.
    pub(super) fn save_encoder(
        &self,
        folder: &Path,
        hear: &mut dyn FnMut(&str),
    ) -> Result<(), Failed> {
        let learnt = self.together(hear)?;
        warm::save(folder, self.schema(), self.terms.size, &learnt.parameters)
    }

    fn local(
        &self,
        share: f64,
        shared: SharedRisk,
        hear: &mut dyn FnMut(&str),
    ) -> Result<Outcome, Failed> {
        let books = self.consortium.members()?;
        let starts = self.alone(hear)?;
        hear("fine-tuning alone");
        let banks = books.iter().zip(starts).zip(0..).collect();
        let fitted =
            on_all_processors(banks, |((book, start), bank): ((&Book, &Vec<f32>), u16)| {
                let mut rows = self
                    .consortium
                    .training(book, self.shown(share, Side::Train));
                hide(&mut rows.values, self.schema(), shared);
                let seed = self.seed.derive("alone", u64::from(bank));
                let parameters = self.training().finetune(start, &rows, &seed)?;
                let sight = self.sight(book, share, shared);
                let threshold = self.threshold(&parameters, &sight)?;
                let scores = self.network().logits(&parameters, &sight.judged)?;
                Ok((sight.judged, scores, threshold))
            })?;
        let scored = (0..)
            .zip(&fitted)
            .map(|(bank, (rows, scores, threshold))| Scored {
                bank,
                rows,
                scores: scores.clone(),
                threshold: Some(*threshold),
            });
        Ok(Outcome::new(&scored.collect::<Vec<_>>(), Vec::new()))
    }

    fn pooled(&self, share: f64, hear: &mut dyn FnMut(&str)) -> Result<Outcome, Failed> {
        let book = self.ground().pooled()?;
        if self.pooled.get().is_none() {
            hear("pretraining on everybody's rows");
            let start = self.first()?;
            let pretrained = match self.terms.recipe.is_pretrained() {
                true => {
                    let rows = self.consortium.unlabelled(book, &self.week);
                    training::pretrain_pooled(&self.training(), &start, &rows, &self.seed)?
                }
                false => start,
            };
            let _ = self.pooled.set(pretrained);
        }
        let start = self.pooled.get().expect("it was set a few lines above");
        hear("fine-tuning on everybody's rows");
        let rows = self
            .consortium
            .training(book, self.shown(share, Side::Train));
        let parameters = training::finetune_pooled(&self.training(), start, &rows, &self.seed)?;
        let sight = self.sight(book, share, SharedRisk::Shown);
        let of_bank = |bank: u16| Sight {
            validation: self.part(&sight.validation, bank),
            judged: self.part(&sight.judged, bank),
        };
        let sights: Vec<Sight> = (0..self.consortium.banks).map(of_bank).collect();
        let fitted = Fitted {
            parameters,
            losses: Vec::new(),
        };
        let thresholds = sights
            .iter()
            .map(|sight| self.threshold(&fitted.parameters, sight));
        let thresholds = thresholds.collect::<Result<Vec<_>, _>>()?;
        self.outcome(&fitted, &sights, &thresholds, 0)
    }

    fn federated(
        &self,
        share: f64,
        hear: &mut dyn FnMut(&str),
    ) -> Result<Vec<(Setting, Outcome)>, Failed> {
        let books = self.consortium.members()?;
        let fitted = self.finetuned(books, share, hear)?;
        let sight = |book| self.sight(book, share, self.terms.shared_risk);
        let sights: Vec<Sight> = books.iter().map(sight).collect();
        let thresholds = sights
            .iter()
            .map(|sight| self.threshold(&fitted.parameters, sight));
        let thresholds = thresholds.collect::<Result<Vec<_>, _>>()?;
        let old = usize::from(self.consortium.banks - self.consortium.newcomers);
        let all = self.outcome(&fitted, &sights, &thresholds, 0)?;
        hear("trying heads of their own");
        let own = self.personal(books, &fitted, &sights, share)?;
        let mut outcomes = vec![(Setting::Federated, all), (Setting::Personal, own)];
        if self.terms.recipe.is_pretrained() {
            let surprised = self.surprised(&fitted.parameters, hear)?;
            outcomes.push((Setting::UnsupervisedLive, surprised));
        }
        if self.consortium.newcomers > 0 {
            let (sights, thresholds) = (&sights[old..], &thresholds[old..]);
            let new = self.outcome(&fitted, sights, thresholds, old)?;
            outcomes.push((Setting::NewBankMember, new));
        }
        Ok(outcomes)
    }

    /// Banks that fine-tune nothing and count no risk: pretraining needs no label, so they take
    /// part in that.
    fn new_bank(&self, share: f64, hear: &mut dyn FnMut(&str)) -> Result<Outcome, Failed> {
        let books = self.consortium.with_newcomers()?;
        let old = usize::from(self.consortium.banks - self.consortium.newcomers);
        let (books, new) = books.split_at(old);
        let fitted = self.finetuned(books, share, hear)?;
        let sight = |book| self.sight(book, share, self.terms.shared_risk);
        let of_old = books.iter().map(sight);
        let thresholds = of_old.map(|sight| self.threshold(&fitted.parameters, &sight));
        let thresholds = thresholds.collect::<Result<Vec<_>, _>>()?;
        let threshold = median(&thresholds).ok_or("a federation has banks")?;
        let sights: Vec<Sight> = new.iter().map(sight).collect();
        self.outcome(&fitted, &sights, &vec![threshold; sights.len()], old)
    }

    /// The encoder that all banks pretrain together.
    fn together(&self, hear: &mut dyn FnMut(&str)) -> Result<&Learnt, Failed> {
        if self.together.get().is_none() {
            let books = self.consortium.members()?;
            let rows = books
                .iter()
                .map(|book| self.consortium.unlabelled(book, &self.week));
            let learnt = self.federate(Kind::Pretrain, self.first()?, rows.collect(), hear)?;
            let _ = self.together.set(learnt);
        }
        Ok(self.together.get().expect("it was set a few lines above"))
    }

    /// The encoder that each bank pretrains alone.
    fn alone(&self, hear: &mut dyn FnMut(&str)) -> Result<&[Vec<f32>], Failed> {
        if self.alone.get().is_none() {
            hear("pretraining alone");
            let books = self.consortium.members()?.iter().zip(0..).collect();
            let start = self.first()?;
            let alone = on_all_processors(books, |(book, bank): (&Book, u16)| {
                if !self.terms.recipe.is_pretrained() {
                    return Ok(start.clone());
                }
                let rows = self.consortium.unlabelled(book, &self.week);
                let seed = self.seed.derive("alone", u64::from(bank));
                self.training().pretrain(&start, &rows, &seed)
            })?;
            let _ = self.alone.set(alone);
        }
        Ok(self.alone.get().expect("it was set a few lines above"))
    }

    /// The model that the banks of `books` fine-tune together.
    fn finetuned(
        &self,
        books: &[Book],
        share: f64,
        hear: &mut dyn FnMut(&str),
    ) -> Result<Fitted, Failed> {
        let start = match self.terms.recipe.is_pretrained() {
            true => self.together(hear)?.parameters.clone(),
            false => self.first()?,
        };
        let rows = books.iter().map(|book| {
            let mut rows = self
                .consortium
                .training(book, self.shown(share, Side::Train));
            hide(&mut rows.values, self.schema(), self.terms.shared_risk);
            rows
        });
        let learnt = self.federate(Kind::Finetune, start, rows.collect(), hear)?;
        Ok(Fitted {
            parameters: learnt.parameters,
            losses: learnt.losses,
        })
    }

    fn federate(
        &self,
        kind: Kind,
        start: Vec<f32>,
        rows: Vec<Examples>,
        hear: &mut dyn FnMut(&str),
    ) -> Result<Learnt, Failed> {
        let (recipe, together) = (&self.terms.recipe, &self.terms.together);
        let name = match kind {
            Kind::Pretrain => "pretraining together",
            Kind::Finetune => "fine-tuning together",
        };
        let members: Vec<Member> = rows
            .into_iter()
            .zip(0..)
            .map(|(rows, bank)| Member::new(bank, rows))
            .collect();
        let examples = members.iter().map(|member| member.weight(kind)).sum();
        let banks = members.len() as u64;
        let seed = self.seed.derive(name, banks);
        let mut summing = Summing::new(seed.derive("masks", 0), self.ground().masks);
        let federation = Federation {
            network: self.network(),
            kind,
            rounds: recipe.rounds_of(kind),
            patience: recipe.patience_of(kind),
            training: recipe.training(kind, &self.model, together, (examples, banks)),
            together,
            seed,
        };
        let rounds = federation.rounds;
        let mut hear = |step| hear(&format!("{name}, round {} of {rounds}", step + 1));
        federation.run(start, members, &mut summing, &mut hear)
    }

    /// Scores what the banks see, the first of them being number `from`, by one model.
    fn outcome(
        &self,
        fitted: &Fitted,
        sights: &[Sight],
        thresholds: &[f32],
        from: usize,
    ) -> Result<Outcome, Failed> {
        let mut scored = Vec::with_capacity(sights.len());
        for (at, (sight, threshold)) in sights.iter().zip(thresholds).enumerate() {
            scored.push(Scored {
                bank: u16::try_from(from + at)?,
                rows: &sight.judged,
                scores: self.network().logits(&fitted.parameters, &sight.judged)?,
                threshold: Some(*threshold),
            });
        }
        Ok(Outcome {
            model: Some(genesis::model_root(&fitted.parameters).to_hex()),
            ..Outcome::new(&scored, fitted.losses.clone())
        })
    }

    fn threshold(&self, parameters: &[f32], sight: &Sight) -> Result<f32, Failed> {
        let scores = self.network().logits(parameters, &sight.validation)?;
        Ok(threshold(&scores, &sight.validation.frauds))
    }

    fn sight(&self, book: &Book, share: f64, shared: SharedRisk) -> Sight {
        let shown = self.shown(share, Side::Validate);
        let mut validation = self.consortium.validation(book, shown);
        let mut judged = book.judged(&self.ground().feed, &self.week, &self.compromised);
        hide(&mut validation.values, self.schema(), shared);
        hide(&mut judged.values, self.schema(), shared);
        Sight { validation, judged }
    }

    /// One bank's part of everybody's rows.
    fn part(&self, rows: &Judged, bank: u16) -> Judged {
        let feed = &self.ground().feed;
        let is_own = |at: usize| {
            let customer = feed.payments[at].customer;
            self.consortium.banks_of()[customer as usize] == bank
        };
        rows.only(self.schema().len(), is_own)
    }

    fn shown(&self, share: f64, side: Side) -> Shown<'_> {
        Shown {
            week: &self.week,
            share,
            side,
        }
    }

    fn training(&self) -> Alone<'_> {
        Alone {
            network: self.network(),
            recipe: &self.terms.recipe,
            together: &self.terms.together,
            model: &self.model,
        }
    }

    fn network(&self) -> Network<'_> {
        Network {
            schema: self.schema(),
            size: self.terms.size,
            device: self.terms.device,
        }
    }

    /// The first parameters of every arm.
    fn first(&self) -> Result<Vec<f32>, Failed> {
        match &self.terms.warm {
            None => Ok(genesis::parameters(&self.model)),
            Some(release) => {
                let first = release.first(&self.model);
                first.ok_or_else(|| "the warm start is of another network".into())
            }
        }
    }

    fn ground(&self) -> &Ground {
        self.consortium.ground
    }

    fn schema(&self) -> &FeatureSchema {
        &self.ground().schema
    }
}

fn hide(values: &mut [f32], schema: &FeatureSchema, shared: SharedRisk) {
    match shared {
        SharedRisk::Shown => {}
        SharedRisk::Hidden => schema.hide_federation(values),
    }
}
