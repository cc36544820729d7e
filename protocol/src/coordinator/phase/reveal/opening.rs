//! Opening: what t reveals come to, each secret held against what its owner signed. A survivor's b
//! gives its self mask; the key of an absent member's pair comes from its escrow box, or from the
//! other side of the pair. What takes the masks off is `opened.rs`.

use std::collections::BTreeMap;

use crypto::{Key, Lagrange, Scalar};

use crate::coordinator::survived::Survived;
use crate::id::{Seat, Seats};
use crate::masking::{self, SecretKind};
use crate::message::Reveal;
use crate::opened::{Opened, Pair};

/// Opens everything that is needed.
///
/// # Errors
/// The members whose escrows do not open what they signed.
pub(super) fn open(survived: &Survived, reveals: &BTreeMap<Seat, Reveal>) -> Result<Opened, Seats> {
    let abscissae: Vec<_> = reveals.keys().map(|seat| seat.abscissa()).collect();
    let lagrange = Lagrange::new(&abscissae).expect("responders are distinct seats");
    let combine = |place: usize, shares: fn(&Reveal) -> &[Scalar]| {
        let shares = reveals
            .values()
            .map(|reveal| shares(reveal).get(place).cloned());
        Some(lagrange.combine(&shares.collect::<Option<Vec<_>>>()?))
    };
    let mut opened = Opened::default();
    let mut cheats = Vec::new();
    for (place, seat) in survived.survivors.iter().enumerate() {
        let secret = combine(place, |reveal| &reveal.self_shares);
        match secret.filter(|b| is_signed(survived, SecretKind::SelfMask, seat, b)) {
            Some(secret) => opened.self_secrets.push((seat, secret)),
            None => cheats.push(seat),
        }
    }
    for (place, seat) in survived.absent().iter().enumerate() {
        let secret = combine(place, |reveal| &reveal.escrow_shares);
        let secret = secret.filter(|r| is_signed(survived, SecretKind::Escrow, seat, r));
        match pairs(survived, reveals, (place, seat), secret.as_ref()) {
            Some(pairs) => opened.pairs.extend(pairs),
            None => cheats.push(seat),
        }
    }
    if cheats.is_empty() {
        return Ok(opened);
    }
    Err(cheats.into_iter().collect())
}

/// Whether an opened secret is the one its owner signed (H(b), H(r)).
fn is_signed(survived: &Survived, kind: SecretKind, seat: Seat, secret: &Scalar) -> bool {
    let Some(escrow) = survived.escrows.get(&seat) else {
        return false;
    };
    let header = escrow.header.unverified();
    let signed = match kind {
        SecretKind::SelfMask => header.self_secret,
        SecretKind::Escrow => header.escrow_secret,
    };
    masking::secret_digest(kind, &survived.round.context, seat, secret) == signed
}

/// The keys of an absent member with all its surviving neighbours: from its box where that opens
/// and holds what the neighbour committed to, from the neighbour itself otherwise. None where one
/// has no source.
fn pairs(
    survived: &Survived,
    reveals: &BTreeMap<Seat, Reveal>,
    (place, absent): (usize, Seat),
    secret: Option<&Scalar>,
) -> Option<Vec<Pair>> {
    let neighbours = survived.round.graph.neighbours(absent);
    let escrow = survived.escrows.get(&absent)?;
    let context = &survived.round.context;
    let boxed = secret.and_then(|secret| {
        let count = neighbours.len();
        masking::open_box(secret, context, absent, &escrow.escrow_box, count)
    });
    let mut boxed = boxed.unwrap_or_default().into_iter();
    let mut pairs = Vec::new();
    for survivor in neighbours.iter() {
        let from_box = boxed.next();
        if !survived.survivors.contains(survivor) {
            continue;
        }
        let committed = survived.commitment(survivor, absent);
        let from_box = from_box.filter(|key| Some(masking::commitment(key)) == committed);
        // The reveal's own key was held against the same commitment when it came.
        let from_survivor = || {
            let reveal = reveals.get(&survivor)?;
            let key = *reveal.pair_keys.get(place)?;
            key.map(Key::from_bytes)
        };
        let key = from_box.or_else(from_survivor)?;
        pairs.push(Pair {
            survivor,
            absent,
            key,
        });
    }
    Some(pairs)
}
