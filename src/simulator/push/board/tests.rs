use serde_json::json;

use super::*;
use crate::simulator::push::standing::TRIES;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

fn form() -> Form {
    let form = json!({ "name": "a", "destination": "http://127.0.0.1:1/", "secret": "s3cr3t" });
    Form::new(form.to_string().as_bytes()).unwrap()
}

/// A board with one webhook that is subscribed and has answered its challenge.
fn board() -> (Board, String) {
    let mut board = Board::new(1);
    let id = board.create(form(), NOW).unwrap();
    board.subscribe(&id, TYPE).unwrap();
    let (jobs, _) = board.take(Instant::now(), &PushKnobs::default());
    assert!(matches!(jobs[0].task, Task::Challenge { tries: 1, .. }));
    let proof = Proof { heard: Heard::default(), refused: None, rate: None };
    board.settle_challenge(&jobs[0], 1, &proof, &PushKnobs::default()).unwrap();
    (board, id)
}

fn status(board: &mut Board, id: &str) -> Status {
    board.find(id).unwrap().status(Instant::now(), &PushKnobs::default())
}

/// What is sent at once, and the answer to it.
fn answer(board: &mut Board, status: u16, knobs: &PushKnobs) -> usize {
    let (jobs, _) = board.take(Instant::now(), knobs);
    let heard = Heard { status: Some(status), ..Heard::default() };
    for job in &jobs {
        let Task::Push(parcel) = job.task.clone() else { panic!("a push was expected") };
        board.settle_push(job, parcel, (Sent::default(), heard.clone()), knobs, NOW);
    }
    jobs.len()
}

#[test]
fn documented_numbers_of_webhooks_and_subscriptions_hold() {
    let mut board = Board::new(1);
    let ids: Vec<_> = (0..5).map(|_| board.create(form(), NOW).unwrap()).collect();
    assert!(board.create(form(), NOW).unwrap_err().message.contains("5 webhooks"));
    for _ in 0..5 {
        board.subscribe(&ids[0], TYPE).unwrap();
    }
    assert!(board.subscribe(&ids[0], TYPE).unwrap_err().message.contains("5 subscriptions"));
    assert!(board.remove(&ids[0]).is_err(), "it has subscriptions");
    board.remove(&ids[1]).unwrap();
    assert!(board.remove(&ids[1]).is_err(), "it is gone");
    assert!(board.create(form(), NOW).is_ok());
}

#[test]
fn only_entries_of_its_own_time_and_choice_are_kept_for_a_webhook() {
    let (mut board, id) = board();
    let knobs = PushKnobs::default();
    board.offer(0, NOW.minus(std::time::Duration::from_secs(1)), NOW, &knobs);
    assert_eq!(answer(&mut board, 202, &knobs), 0, "older than the webhook");
    board.offer(1, NOW, NOW, &knobs);
    assert_eq!(answer(&mut board, 202, &knobs), 1);
    board.find(&id).unwrap().subscriptions.clear();
    board.offer(2, NOW, NOW, &knobs);
    assert_eq!(answer(&mut board, 202, &knobs), 0, "not subscribed");
    assert_eq!(board.pushed, Pushed { requests: 1, accepted: 1, ..Pushed::default() });
}

#[test]
fn an_event_is_tried_twenty_times_then_dropped_and_the_webhook_is_in_error() {
    let (mut board, id) = board();
    let knobs = PushKnobs { time_scale: f64::INFINITY, ..PushKnobs::default() };
    board.offer(0, NOW, NOW, &knobs);
    for tries in 1..=TRIES {
        assert_eq!(answer(&mut board, 500, &knobs), 1, "try {tries}");
        let expected = if tries < TRIES { Status::Warning } else { Status::Error };
        assert_eq!(status(&mut board, &id), expected, "after try {tries}");
    }
    board.offer(1, NOW, NOW, &knobs);
    assert_eq!(answer(&mut board, 500, &knobs), 0);
    assert_eq!((board.pushed.failed, board.pushed.given_up, board.pushed.lost), (20, 1, 1));

    let listed = board.find(&id).unwrap().shown_deliveries("w");
    assert_eq!((listed.len(), &listed[0]["retryStatus"]), (20, &json!("NORETRY")));
    assert_eq!(
        (&listed[1]["retryStatus"], &listed[1]["status"]),
        (&json!("RETRY"), &json!("FAILURE"))
    );
    assert_eq!(listed[0]["failureId"], listed[19]["failureId"]);
    let failure = listed[0]["failureId"].as_str().unwrap();
    assert_eq!(board.find(&id).unwrap().find_failure(failure).unwrap().entries, [0]);
}

#[test]
fn an_edited_webhook_waits_for_its_challenge_and_a_paused_one_loses_events() {
    let (mut board, id) = board();
    let knobs = PushKnobs::default();
    let rename = |board: &mut Board, patch: &str| {
        let webhook = board.find(&id).unwrap();
        let form = webhook.form.patched(patch.as_bytes()).unwrap();
        webhook.edit(form, NOW);
    };
    rename(&mut board, r#"{"name":"b"}"#);
    board.offer(0, NOW, NOW, &knobs);
    let (jobs, _) = board.take(Instant::now(), &knobs);
    assert!(matches!(jobs[..], [Job { task: Task::Challenge { .. }, .. }]));
    let old = Job { generation: 1, ..jobs[0].clone() };
    let proof = Proof { heard: Heard::default(), refused: None, rate: Some(7) };
    assert_eq!(board.settle_challenge(&old, 1, &proof, &knobs), None, "of before the edit");
    assert_eq!(status(&mut board, &id), Status::Pending);
    board.settle_challenge(&jobs[0], 1, &proof, &knobs).unwrap();
    assert_eq!(status(&mut board, &id), Status::Active);
    assert_eq!(answer(&mut board, 202, &knobs), 1, "what came meanwhile has waited");

    rename(&mut board, r#"{"paused":true}"#);
    board.offer(1, NOW, NOW, &knobs);
    assert_eq!(status(&mut board, &id), Status::Disabled);
    assert!(board.take(Instant::now(), &knobs).0.is_empty(), "no challenge either");
    rename(&mut board, r#"{"paused":false}"#);
    assert_eq!((status(&mut board, &id), board.pushed.lost), (Status::Pending, 1));
}

#[test]
fn a_challenge_is_tried_a_few_times() {
    let mut board = Board::new(1);
    let id = board.create(form(), NOW).unwrap();
    let knobs = PushKnobs { time_scale: f64::INFINITY, ..PushKnobs::default() };
    let proof = Proof { heard: Heard::default(), refused: Some("no".to_owned()), rate: None };
    let mut tries = 0;
    while let (jobs, _) = board.take(Instant::now(), &knobs)
        && let Some(job) = jobs.first()
    {
        tries += 1;
        board.settle_challenge(job, tries, &proof, &knobs).unwrap();
    }
    assert_eq!((tries, status(&mut board, &id)), (5, Status::Error));
    let webhook = board.find(&id).unwrap();
    assert_eq!(webhook.shown(Instant::now(), &knobs)["stateReason"], "no");
    assert!(board.verify(&id).is_ok(), "its owner may ask for another one");
}
