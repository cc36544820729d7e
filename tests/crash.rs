//! kill -9 of the coordinator in every phase of a round, over real QUIC and a real disk: the round
//! is finished by the next process, with the exact sum, and no number is used twice.

use protocol::event::ClientEvent;
use protocol::id::RoundId;
use tests::{Bank, Coordinator, House, Said, policy, risk_plan, serve_if_asked};

/// Not a test of anything: this program starts itself with this function to be a coordinator.
#[test]
fn serves_as_coordinator_when_asked() {
    serve_if_asked();
}

const SERVE: &str = "serves_as_coordinator_when_asked";
const NUMBERS: [u32; 5] = [1, 20, 300, 4_000, 50_000];

/// Plays one round that is killed while `held` keeps `phase` open at so many banks.
async fn killed_in(phase: &str, held: Said, banks_held: usize) {
    let house = House::found();
    let mut coordinator = Coordinator::start(&house.path().join("coordinator"), SERVE);
    let address = coordinator.address;
    let mut banks = Vec::new();
    for (at, number) in NUMBERS.into_iter().enumerate() {
        let folder = house.bank(&format!("bank-{at}"));
        banks.push(Bank::start(&folder, number, address, policy(&[])));
    }
    house
        .wait(address, "five banks", |s| {
            s.clients.iter().filter(|c| c.connected).count() == 5
        })
        .await;
    banks[..banks_held].iter().for_each(|bank| bank.hold(held));
    house.start(address, risk_plan(100, 5)).await;
    house
        .wait(address, phase, |status| status.phase == phase)
        .await;
    coordinator.kill_and_restart();
    let status = house.status(address).await;
    assert_eq!(
        status.phase, phase,
        "a restarted coordinator stands where it stood"
    );
    banks.iter().for_each(Bank::release);
    for bank in &banks {
        bank.wait_for_results(1).await;
        let (_, payload, in_sum) = bank.results().remove(0);
        assert_eq!(in_sum, 5, "{phase}: nobody dropped out");
        assert!(
            payload.iter().all(|count| *count == 54_321),
            "{phase}: {payload:?}"
        );
    }
    let rounds = house.rounds(address).await;
    assert_eq!(rounds.len(), 1, "{phase}: {rounds:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_escrows_come_in() {
    killed_in("escrow", Said::Escrow, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_masked_updates_come_in() {
    killed_in("collection", Said::Masked, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_acknowledgements_come_in() {
    killed_in("acknowledgement", Said::Ack, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_shares_come_in() {
    killed_in("reveal", Said::Reveal, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_keys_are_agreed() {
    killed_in("agreement", Said::KeyBundle, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_rest_it_keeps_the_ledger() {
    let house = House::found();
    let mut coordinator = Coordinator::start(&house.path().join("coordinator"), SERVE);
    let address = coordinator.address;
    let mut banks = Vec::new();
    for (at, number) in NUMBERS.into_iter().enumerate() {
        let folder = house.bank(&format!("bank-{at}"));
        banks.push(Bank::start(&folder, number, address, policy(&[])));
    }
    banks.iter().for_each(|bank| bank.hold(Said::Audit));
    house.start(address, risk_plan(100, 5)).await;
    for bank in &banks {
        bank.wait_for_results(1).await;
    }
    let before = house.status(address).await;
    coordinator.kill_and_restart();
    let after = house.status(address).await;
    assert_eq!((after.ledger, after.head), (1, before.head));
    // The last sum can still be audited.
    banks.iter().for_each(Bank::release);
    for bank in &banks {
        bank.wait_for_event(|event| *event == ClientEvent::AuditPassed(RoundId(1), 1))
            .await;
    }
    house.start(address, risk_plan(102, 5)).await;
    for bank in &banks {
        bank.wait_for_results(2).await;
    }
    let numbers: Vec<u64> = house
        .rounds(address)
        .await
        .iter()
        .map(|r| r.round.0)
        .collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
}
