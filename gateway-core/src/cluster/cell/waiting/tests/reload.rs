//! Configurations change while requests wait that came under another.

use super::*;

/// One replica that has room for one, which is taken, and somebody waits. From now on newcomers say that it has more.
fn raised() -> Cluster {
    let mut cluster = waiting(&[ask(1)]);
    cluster.requests = 3;
    assert_eq!(cluster.say(ask(2)), Said::Granted);
    cluster
}

/// What is said under the configuration in which each replica takes so many.
fn under(cluster: &mut Cluster, requests: u32, ask: Ask) -> Said {
    cluster.requests = requests;
    cluster.say(ask)
}

#[test]
fn room_that_a_newer_configuration_has_is_for_those_that_wait() {
    let mut cluster = raised();
    assert_eq!(cluster.turns(), [1]);
    assert_eq!(under(&mut cluster, 1, ask(1)), Said::Granted);
    assert_eq!(under(&mut cluster, 3, ask(3)), Said::Queued);
}

#[test]
fn a_gateway_that_has_not_heard_of_it_fills_no_replica_by_the_old_one() {
    let mut cluster = Cluster::new(1, 3);
    assert_eq!(cluster.say(ask(0)), Said::Granted);
    assert_eq!(under(&mut cluster, 1, ask(1)), Said::Queued);
    for round in 0..20 {
        cluster.now += 900;
        assert_eq!(under(&mut cluster, 3, ask(2)), Said::Queued, "{round}");
        assert_eq!(under(&mut cluster, 1, ask(1)), Said::Queued, "{round}");
        let newcomer = Ask {
            patience_ms: 0,
            ..ask(100 + round)
        };
        assert_eq!(under(&mut cluster, 1, newcomer), Said::Refused(None), "{round}");
    }
}

#[test]
fn a_configuration_that_is_taken_back_is_in_force_once_nobody_names_the_newer_one() {
    let mut cluster = raised();
    let newcomer = |number| Ask {
        patience_ms: 0,
        ..ask(number)
    };
    cluster.now += 9_000;
    assert_eq!(
        under(&mut cluster, 1, newcomer(3)),
        Said::Granted,
        "of the room of the newer one"
    );
    cluster.now += 1_000;
    assert_eq!(under(&mut cluster, 1, newcomer(4)), Said::Refused(None));
    cluster.release(3);
    assert_eq!(
        under(&mut cluster, 1, newcomer(5)),
        Said::Refused(None),
        "two run where one may"
    );
}

#[test]
fn a_replica_that_is_no_more_gets_nobody_that_waits() {
    let mut cluster = Cluster::new(2, 1);
    let grant = |cluster: &mut Cluster, permit| {
        let ClusterReply::Granted(Grant { replica, .. }) = cluster.reply(ask(permit)) else {
            panic!("there is room for {permit}")
        };
        replica
    };
    let [first, second] = [1, 2].map(|permit| grant(&mut cluster, permit));
    assert_ne!(first, second);
    assert_eq!(cluster.say(ask(3)), Said::Queued);
    cluster.replicas = 1;
    assert_eq!(cluster.say(ask(4)), Said::Queued);
    cluster.replicas = 2;
    let (kept, gone) = if first.as_str() == "http://a" { (1, 2) } else { (2, 1) };
    cluster.release(gone);
    assert_eq!(cluster.say(ask(3)), Said::Queued, "http://b is no more");
    cluster.release(kept);
    assert_eq!(grant(&mut cluster, 3).as_str(), "http://a");
}
