//! Enrolment from both sides, and what must not get through.

use super::*;

fn consortium(dir: &Path) -> Consortium {
    Consortium::create(&dir.join("ca"), "Test").unwrap()
}

#[test]
fn a_bank_enrols_in_three_steps_and_its_keys_stay_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let bank = dir.path().join("bank");
    let request = request(&bank, "Bank One", Role::Bank).unwrap();
    write_json(&dir.path().join("request.json"), &request).unwrap();
    let read = Request::read(&dir.path().join("request.json")).unwrap();
    let bundle = consortium(dir.path()).approve(&read, Time(10)).unwrap();
    install(&bank, &bundle).unwrap();
    let identity = Identity::load(&bank).unwrap();
    assert_eq!(identity.name(), "Bank One");
    assert!(
        identity
            .authority
            .admit(&identity.credential, Role::Bank, Time(10))
            .is_ok()
    );
    assert!(
        identity
            .authority
            .admit(&identity.credential, Role::Bank, Time(11))
            .is_err()
    );
    assert!(
        identity
            .authority
            .admit(&identity.credential, Role::Operator, Time(1))
            .is_err()
    );
    for file in [TLS_KEY, PROTOCOL_KEY] {
        let mode = std::fs::metadata(bank.join(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let outside =
        serde_json::to_string(&request).unwrap() + &serde_json::to_string(&bundle).unwrap();
    assert!(!outside.contains("PRIVATE"));
    assert!(
        !outside.contains(
            std::fs::read_to_string(bank.join(PROTOCOL_KEY))
                .unwrap()
                .trim()
        )
    );
}

#[test]
fn a_request_changed_on_the_way_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let honest = request(&dir.path().join("bank"), "Bank One", Role::Bank).unwrap();
    let other = request(&dir.path().join("other"), "Bank One", Role::Bank).unwrap();
    let consortium = consortium(dir.path());
    let renamed = Request {
        name: "Bank Two".into(),
        ..honest.clone()
    };
    let rekeyed = Request {
        csr_pem: other.csr_pem.clone(),
        ..honest.clone()
    };
    let garbage = Request {
        proof: "zz".into(),
        ..honest
    };
    for wrong in [renamed, rekeyed, garbage] {
        assert!(matches!(
            consortium.approve(&wrong, Time(9)),
            Err(IdentityError::Request { .. })
        ));
    }
}

#[test]
fn a_bundle_for_other_keys_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let asked = request(&one, "Bank One", Role::Bank).unwrap();
    request(&two, "Bank Two", Role::Bank).unwrap();
    let bundle = consortium(dir.path()).approve(&asked, Time(9)).unwrap();
    assert!(matches!(
        install(&two, &bundle),
        Err(IdentityError::Bundle { .. })
    ));
}

#[test]
fn a_consortium_is_not_founded_twice_in_one_folder() {
    let dir = tempfile::tempdir().unwrap();
    consortium(dir.path());
    let again = Consortium::create(&dir.path().join("ca"), "Test");
    assert!(matches!(again, Err(IdentityError::Exists { .. })));
}

#[test]
fn names_that_would_break_a_log_line_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["", "a\nb", &"x".repeat(129)] {
        assert!(matches!(
            request(&dir.path().join("bank"), name, Role::Bank),
            Err(IdentityError::Name { .. })
        ));
    }
}
