//! A federation over real QUIC on loopback: banks join, drop out, come back; strangers and
//! malformed frames are turned away; a bank that took back its consent sits out.

use host::identity::Identity;
use host::quic::Dialer;
use protocol::event::ClientEvent;
use protocol::id::RoundId;
use protocol::plan::{Kind, SchemaText};
use tests::{Bank, Coordinator, House, Said, evaluate_plan, policy, risk_plan, serve_if_asked};

/// Not a test of anything: this program starts itself with this function to be a coordinator.
#[test]
fn serves_as_coordinator_when_asked() {
    serve_if_asked();
}

const SERVE: &str = "serves_as_coordinator_when_asked";

fn coordinator(house: &House) -> Coordinator {
    Coordinator::start(&house.path().join("coordinator"), SERVE)
}

async fn connected(house: &House, coordinator: &Coordinator, count: usize) {
    let is_here = |status: &protocol::operator::Status| {
        status
            .clients
            .iter()
            .filter(|client| client.connected)
            .count()
            == count
    };
    house
        .wait(coordinator.address, &format!("{count} banks"), is_here)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn banks_join_drop_out_and_come_back() {
    let house = House::found();
    let coordinator = coordinator(&house);
    let address = coordinator.address;
    let allowed = policy(&[]);
    let start = |at: u32| {
        let folder = house.bank(&format!("bank-{at}"));
        Bank::start(&folder, 10_u32.pow(at), address, allowed.clone())
    };
    let mut banks: Vec<Bank> = (0..4).map(start).collect();
    connected(&house, &coordinator, 4).await;
    house.start(address, risk_plan(100, 4)).await;
    for bank in &banks {
        bank.wait_for_results(1).await;
        assert_eq!(bank.results()[0].1[0], 1_111);
    }

    // A fifth joins: it catches up with the ledger, then sits in the next round.
    banks.push(start(4));
    connected(&house, &coordinator, 5).await;
    house.start(address, risk_plan(102, 5)).await;
    for (at, bank) in banks.iter().enumerate() {
        bank.wait_for_results(2).await;
        assert_eq!(bank.results()[1].1[0], 11_111, "bank {at}");
    }

    // One dies while the others' updates come in: the sum goes on without it.
    banks[2].hold(Said::Masked);
    house.start(address, risk_plan(104, 5)).await;
    house
        .wait(address, "collection", |status| status.phase == "collection")
        .await;
    let dead = banks.remove(2);
    let back = dead.kill_and_restart(address, allowed.clone()).await;
    for bank in &banks {
        bank.wait_for_results(3).await;
        assert_eq!(bank.results()[2].1[0], 11_011);
        assert_eq!(bank.results()[2].2, 4);
        // The sum is audited, by the vectors on the coordinator's disk.
        bank.wait_for_event(|event| *event == ClientEvent::AuditPassed(RoundId(3), 1))
            .await;
    }

    // It comes back, catches up, and is in the next sum.
    back.wait_for_results(3).await;
    connected(&house, &coordinator, 5).await;
    house.start(address, risk_plan(106, 5)).await;
    back.wait_for_results(4).await;
    let (kind, payload, in_sum) = back.results().pop().unwrap();
    assert_eq!((kind, payload[0], in_sum), (Kind::Risk, 11_111, 5));
    let cohorts: Vec<u16> = house
        .rounds(address)
        .await
        .iter()
        .map(|r| r.survivors)
        .collect();
    assert_eq!(cohorts, [4, 5, 4, 5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_whose_consent_lacks_the_schema_sits_out() {
    let house = House::found();
    let coordinator = coordinator(&house);
    let address = coordinator.address;
    let schema = SchemaText("language = 1".to_owned());
    let start = |at: u32| {
        let folder = house.bank(&format!("bank-{at}"));
        let schemas = if at == 4 {
            vec![]
        } else {
            vec![schema.digest()]
        };
        Bank::start(&folder, 1, address, policy(&schemas))
    };
    let banks: Vec<Bank> = (0..5).map(start).collect();
    connected(&house, &coordinator, 5).await;
    house.start(address, evaluate_plan(schema, 4)).await;
    for bank in &banks {
        bank.wait_for_results(1).await;
        assert_eq!(bank.results()[0].2, 4, "four banks are in the sum");
    }
    let declined = |event: &ClientEvent| matches!(event, ClientEvent::Declined(_));
    assert!(banks[4].events().iter().any(declined));
    let foreign = |event: &ClientEvent| matches!(event, ClientEvent::ForeignSchema(_));
    assert!(banks[4].events().iter().any(foreign));
    let status = house.status(address).await;
    let told = status
        .clients
        .iter()
        .find(|client| client.name == "bank-4")
        .unwrap();
    assert!(
        told.refusal
            .as_ref()
            .is_some_and(|why| why.contains("schema")),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_and_malformed_frames_are_turned_away_and_nothing_stops() {
    let (house, other) = (House::found(), House::found());
    let coordinator = coordinator(&house);
    let address = coordinator.address;

    // A bank of another consortium does not get past the handshake, or is cut off right after.
    let stranger = Identity::load(&other.bank("stranger")).unwrap();
    if let Ok(mut link) = Dialer::new(&stranger).unwrap().dial(address).await {
        let _ = link.sender().send(vec![0; 8]);
        assert!(link.receive().await.is_none());
    }
    // Nor is its operator heard.
    assert!(
        other
            .ask(address, protocol::operator::Command::Status)
            .await
            .is_err()
    );

    // A member that sends garbage loses its connection, and nothing else.
    let member = Identity::load(&house.bank("garbler")).unwrap();
    for frame in [
        vec![],
        vec![255; 64],
        vec![0; 100_000],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
    ] {
        let mut link = Dialer::new(&member).unwrap().dial(address).await.unwrap();
        assert!(link.sender().send(frame));
        assert!(link.receive().await.is_none());
    }

    // A bank is no operator.
    let banks: Vec<Bank> = (0..4)
        .map(|at| Bank::start(&house.bank(&format!("bank-{at}")), 1, address, policy(&[])))
        .collect();
    connected(&house, &coordinator, 4).await;
    house.start(address, risk_plan(100, 4)).await;
    for bank in &banks {
        bank.wait_for_results(1).await;
    }
    assert_eq!(house.status(address).await.ledger, 1);
    assert!(
        !coordinator.log().contains("panicked"),
        "{}",
        coordinator.log()
    );
}
