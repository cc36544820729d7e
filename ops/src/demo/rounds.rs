//! Rounds as the operator runs them: a plan is signed and started, and its rounds watched until
//! the last is committed. One run has a death in it: an agent is killed in the middle of a round.

use std::time::Duration;

use protocol::operator::{Command, PlanStatus, Reply, RoundEnd, RoundSummary, Status};
use protocol::plan::Plan;

use super::federation::Federation;
use super::steps::Steps;
use crate::door::Operator;

type Failed = Box<dyn std::error::Error>;

/// Runs every round of `plan`.
pub(crate) fn run(operator: &Operator, steps: &Steps, plan: Plan) -> Result<(), Failed> {
    let (name, rounds) = (plan.name.clone(), plan.rounds);
    start(operator, plan)?;
    watch(operator, steps, &name, rounds, |_, _| Ok(()))
}

/// Runs every round of `plan`, and kills one agent while a round in the middle collects updates.
/// Returns the victim's name. The agent is started again once the round is on its way without it.
pub(crate) fn run_with_a_death(
    operator: &Operator,
    steps: &Steps,
    plan: Plan,
    federation: &mut Federation,
) -> Result<String, Failed> {
    let (name, rounds) = (plan.name.clone(), plan.rounds);
    // Not the largest bank, so that the sum keeps most of its weight, and not the smallest.
    let victim = federation.banks().len() / 2;
    start(operator, plan)?;
    let mut killed = None;
    watch(operator, steps, &name, rounds, |status, plan| {
        if killed.is_none() && plan.done >= rounds / 3 && status.phase == "collection" {
            let bank = federation.kill(victim)?;
            steps.note(&format!(
                "kill -9 {bank} in round {} of {rounds}",
                plan.done + 1
            ));
            federation.restart(victim, steps)?;
            killed = Some(bank);
        }
        Ok(())
    })?;
    killed.ok_or_else(|| "no round was caught while collecting updates".into())
}

/// Every round so far, oldest first.
pub(crate) fn listed(operator: &Operator) -> Result<Vec<RoundSummary>, Failed> {
    let Reply::Rounds(mut rounds) = operator.ask(Command::Rounds(1_000))? else {
        return Err("the coordinator answered another question".into());
    };
    rounds.reverse();
    Ok(rounds)
}

fn start(operator: &Operator, plan: Plan) -> Result<(), Failed> {
    let signed = operator.sign(plan);
    operator.ask(Command::Start(Box::new(signed)))?;
    Ok(())
}

fn watch(
    operator: &Operator,
    steps: &Steps,
    name: &str,
    rounds: u32,
    mut each: impl FnMut(&Status, &PlanStatus) -> Result<(), Failed>,
) -> Result<(), Failed> {
    steps.wait(&format!("plan {name:?}"), PATIENCE, || {
        let Reply::Status(status) = operator.ask(Command::Status)? else {
            return Ok(None);
        };
        let Some(plan) = status.plans.iter().find(|plan| plan.name == name) else {
            return ended(operator, name, rounds).map(Some);
        };
        steps.now(format!(
            "{name}: {} of {rounds} rounds, {}",
            plan.done, status.phase
        ));
        each(&status, plan)?;
        Ok(None)
    })
}

/// A plan that is no longer listed has ended: well only where all its rounds were committed.
fn ended(operator: &Operator, name: &str, rounds: u32) -> Result<(), Failed> {
    let of_plan: Vec<_> = listed(operator)?
        .into_iter()
        .filter(|round| round.plan == name)
        .collect();
    let committed = of_plan
        .iter()
        .filter(|round| round.end == Some(RoundEnd::Committed))
        .count();
    if committed == rounds as usize {
        return Ok(());
    }
    let last = of_plan.last().map_or_else(
        || "no round opened".to_owned(),
        |round| format!("round {} ended {:?}", round.round.0, round.end),
    );
    Err(format!("plan {name:?}: {committed} of {rounds} rounds committed; {last}").into())
}

/// Longest wait for one plan.
const PATIENCE: Duration = Duration::from_secs(3_600);
