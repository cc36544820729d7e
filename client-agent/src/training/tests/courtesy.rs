//! The learning thread stands back behind payments between two steps, and what that took is told.
//! That it does while the past is read, `courtesy.rs` tests.

use std::sync::mpsc::Receiver;

use host::disk::Store;
use tempfile::TempDir;

use super::newton::newton;
use super::*;
use crate::courtesy;
use crate::journal::Journal;
use crate::journal::tests::entry;
use crate::status::TrainingStatus;

struct Bank {
    worker: Worker,
    answered: Receiver<Outcome>,
    board: Board,
    journal: Journal,
    _folder: TempDir,
}

impl Bank {
    /// A bank that learns from its past beside a journal that it follows.
    fn new() -> Self {
        let (folder, journal) = empty();
        let (trainer, board) = trainer(Baseline::Off);
        let trainer = trainer.following(journal.follow());
        let (answers, answered) = channel();
        let answer = move |outcome| answers.send(outcome).unwrap();
        let worker = Worker::start(trainer, Share::Behind, answer, drop).unwrap();
        drop(worker.restored());
        Self {
            worker,
            answered,
            board,
            journal,
            _folder: folder,
        }
    }

    fn contribute(&self, work: Work) -> TrainingStatus {
        assert!(self.worker.contribute(Box::new(order(work))));
        let outcome = self.answered.recv().unwrap();
        assert!(outcome.contribution.is_ok());
        self.board.read().training.last().unwrap().clone()
    }
}

fn empty() -> (TempDir, Journal) {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(&Store::open(folder.path()).unwrap()).unwrap();
    (folder, journal)
}

fn answer(journal: &mut Journal, txn_id: &str) {
    journal.append(&entry(txn_id)).unwrap();
    journal.settle().unwrap();
}

// The first order of a kind reads the past, the second has its rows at hand. Planted faults: none
// after a step of either kind; a thread that never began; rests that are not told.
#[test]
fn learning_stands_back_for_payments_between_steps() {
    let mut bank = Bank::new();
    for (at, work) in [pretrain(), finetune(), newton()].into_iter().enumerate() {
        assert_eq!(bank.contribute(work.clone()).rested_seconds, 0.0);
        answer(&mut bank.journal, &at.to_string());
        let status = bank.contribute(work);
        assert!(status.rested_seconds > 0.0);
        assert!(status.seconds >= status.rested_seconds);
    }
}

// Planted faults: none after a step of either kind, or a stretch of rows.
#[test]
fn so_does_learning_of_a_banks_own_model() {
    for (plans, expected) in [(vec![pretrain(), finetune()], 4), (vec![newton()], 2)] {
        let (_folder, mut journal) = empty();
        let (mut trainer, board) = trainer(Baseline::Local);
        courtesy::begin(journal.follow());
        for plan in plans {
            trainer.install(&result(plan, 1, &[]));
        }
        let mut rounds = 0;
        while trainer.has_solo_work() {
            answer(&mut journal, &rounds.to_string());
            trainer.advance_solo();
            let told = board.read().training;
            if told.len() > rounds {
                assert!(told[rounds].rested_seconds > 0.0, "{rounds}");
                rounds = told.len();
            }
        }
        assert_eq!(rounds, expected);
    }
}
