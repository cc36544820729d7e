//! Newton's method in the bench.

use super::*;

/// The federated model's root, and the banks' mean loss round by round.
fn federated(dir: &Path, more: &[&str]) -> (Option<String>, Vec<f32>) {
    let plain = [
        "--server",
        "newton",
        "--head",
        "0",
        "--rounds",
        "12",
        "--settings",
        "federated",
    ];
    let args = arguments(dir, &[&plain, more].concat());
    let outcome = &compare(&args).unwrap().1[0].outcome;
    (outcome.model.clone(), outcome.losses.clone())
}

#[test]
fn masks_leave_the_model_as_it_is_and_steps_end_at_the_lowest_loss() {
    let dir = tempfile::tempdir().unwrap();
    let (plain, losses) = federated(dir.path(), &["--bits", "20"]);
    assert!(plain.is_some());
    let masked = federated(dir.path(), &["--bits", "20", "--masks"]);
    assert_eq!((plain, losses.clone()), masked);
    assert_eq!(losses.len(), 12);
    let end = losses[11];
    assert!(end < 0.8 * losses[0], "{losses:?}");
    assert!((losses[10] - end).abs() < 0.01 * end, "{losses:?}");
    // Nothing is drawn but the rounding, which is far below what counts.
    let coarse = federated(dir.path(), &["--bits", "16"]).1[11];
    assert!((coarse - end).abs() < 0.01 * end, "{coarse} {losses:?}");
}

// Who is alone steps by the same method: further at first, and no further in the end. Adam's rounds
// end elsewhere.
#[test]
fn alone_and_pooled_are_solved_for_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let after = |more: &[&str]| -> Vec<f64> {
        let settings = ["--head", "0", "--settings", "local,pooled"];
        let args = arguments(dir.path(), &[&settings, more].concat());
        let trials = compare(&args).unwrap().1;
        assert_eq!(trials.len(), 2);
        let of_all = |trial: &Trial| trial.outcome.all.ap.unwrap();
        trials.iter().map(of_all).collect()
    };
    let solved = |rounds: &str| after(&["--server", "newton", "--rounds", rounds]);
    let (one, nine, ten) = (solved("1"), solved("9"), solved("10"));
    let usual = after(&["--rounds", "10"]);
    for at in 0..2 {
        let (far, near) = ((one[at] - ten[at]).abs(), (nine[at] - ten[at]).abs());
        assert!(near < 0.002 && far > 0.005, "{one:?} {nine:?} {ten:?}");
        assert!((usual[at] - ten[at]).abs() > 0.001, "{usual:?} {ten:?}");
    }
}
