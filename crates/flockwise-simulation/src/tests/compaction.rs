use super::*;

#[test]
fn compaction_spares_what_may_yet_come_to_nothing() {
    let (broker, _) = cluster(true);
    let (mut one, mut two) = (broker.worker("one"), broker.worker("two"));
    send(&mut one, "old");
    one.commit(&[]).unwrap();
    send(&mut one, "new");
    one.commit(&[]).unwrap();
    send(&mut two, "void");
    broker.compact();
    assert_eq!(values(&broker), ["new"]);
    two.abort().unwrap();
    broker.compact();
    assert_eq!(values(&broker), ["new"]);
}

#[test]
fn compaction_leaves_a_tombstone_for_a_while() {
    let (broker, clock) = cluster(true);
    let count = || broker.read(Topic::Changelog, 0, 0).len();
    let key: Option<&[u8]> = Some(b"anna");
    broker.append(Topic::Changelog, 0, 0, key, Some(b"here"));
    broker.append(Topic::Changelog, 0, 0, key, None);
    broker.compact();
    assert_eq!(count(), 1, "the first run sees the tombstone");
    seconds(&clock, 59);
    broker.compact();
    assert_eq!(count(), 1, "it stays for a minute");
    seconds(&clock, 1);
    broker.compact();
    assert_eq!(count(), 0);
}
