//! Client and server on a real socket.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test states what it knows"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use countersign_ipc::{
    AdminReply, AdminRequest, CallError, Client, PeerRules, Role, Server, bind, own_uid,
};
use tokio::sync::watch;

struct Running {
    path: PathBuf,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
    _directory: tempfile::TempDir,
}

fn start(rules: PeerRules, digest: [u8; 32]) -> Running {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.sock");
    let server = Server::new(bind(&path).unwrap(), rules, digest);
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(server.run(
        |_peer, request: AdminRequest| async move {
            match request {
                AdminRequest::Requests { limit } => {
                    tokio::time::sleep(Duration::from_millis(u64::from(limit))).await;
                    AdminReply::Text(limit.to_string())
                }
                _ => AdminReply::Refused { message: "not here".into() },
            }
        },
        stopped,
    ));
    Running { path, stop, task, _directory: directory }
}

fn client(running: &Running, role: Role, digest: [u8; 32]) -> Client<AdminRequest, AdminReply> {
    Client::new(&running.path, role, digest)
}

const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn answers_come_to_who_asked_in_whatever_order_they_are_ready() {
    let running = start(PeerRules::new(true).allow_own_in_lab(Role::Serve), [1; 32]);
    let client = client(&running, Role::Serve, [1; 32]);
    let calls = [60, 5, 30, 1].map(|limit| {
        let client = client.clone();
        tokio::spawn(async move { client.call(&AdminRequest::Requests { limit }, SOON).await })
    });
    for (call, expected) in calls.into_iter().zip(["60", "5", "30", "1"]) {
        match call.await.unwrap().unwrap() {
            AdminReply::Text(text) => assert_eq!(text, expected),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_peer_with_another_config_is_not_welcome_and_is_told_why() {
    let running = start(PeerRules::new(true).allow_own_in_lab(Role::Serve), [1; 32]);
    let error =
        client(&running, Role::Serve, [2; 32]).call(&AdminRequest::Status, SOON).await.unwrap_err();
    assert!(matches!(&error, CallError::NotWelcome { reason, .. } if reason.contains("config")));
    assert!(error.nothing_was_sent());
}

#[tokio::test]
async fn outside_lab_a_peer_of_our_own_user_is_not_welcome() {
    let running = start(PeerRules::new(false).allow(Role::Serve, own_uid()), [1; 32]);
    let error =
        client(&running, Role::Serve, [1; 32]).call(&AdminRequest::Status, SOON).await.unwrap_err();
    assert!(matches!(&error, CallError::NotWelcome { reason, .. } if reason.contains("own user")));
}

#[tokio::test]
async fn a_role_without_business_is_not_welcome() {
    let running = start(PeerRules::new(true).allow_own_in_lab(Role::Serve), [1; 32]);
    let error = client(&running, Role::Verify, [1; 32])
        .call(&AdminRequest::Status, SOON)
        .await
        .unwrap_err();
    assert!(matches!(error, CallError::NotWelcome { .. }));
}

#[tokio::test]
async fn a_late_answer_is_a_deadline_and_the_connection_goes_on() {
    let running = start(PeerRules::new(true).allow_own_in_lab(Role::Serve), [1; 32]);
    let client = client(&running, Role::Serve, [1; 32]);
    let error = client
        .call(&AdminRequest::Requests { limit: 500 }, Duration::from_millis(20))
        .await
        .unwrap_err();
    assert!(matches!(error, CallError::Deadline { .. }));
    assert!(!error.nothing_was_sent());
    client.call(&AdminRequest::Requests { limit: 1 }, SOON).await.unwrap();
}

#[tokio::test]
async fn stopping_finishes_what_is_in_flight() {
    let running = start(PeerRules::new(true).allow_own_in_lab(Role::Serve), [1; 32]);
    let client = client(&running, Role::Serve, [1; 32]);
    let call = {
        let client = client.clone();
        tokio::spawn(async move { client.call(&AdminRequest::Requests { limit: 200 }, SOON).await })
    };
    tokio::time::sleep(Duration::from_millis(50)).await;
    running.stop.send(true).unwrap();
    assert!(matches!(call.await.unwrap().unwrap(), AdminReply::Text(text) if text == "200"));
    running.task.await.unwrap();
    assert!(client.call(&AdminRequest::Status, SOON).await.is_err());
}

#[tokio::test]
async fn a_restarted_server_is_found_again() {
    let first = start(PeerRules::new(true).allow_own_in_lab(Role::Serve), [1; 32]);
    let client = client(&first, Role::Serve, [1; 32]);
    client.call(&AdminRequest::Status, SOON).await.unwrap();
    first.stop.send(true).unwrap();
    first.task.await.unwrap();
    let error = client.call(&AdminRequest::Status, SOON).await.unwrap_err();
    assert!(matches!(error, CallError::NotThere { .. } | CallError::Broken(_)));

    let server = Server::new(
        bind(&first.path).unwrap(),
        PeerRules::new(true).allow_own_in_lab(Role::Serve),
        [1; 32],
    );
    let (_stop, stopped) = watch::channel(false);
    tokio::spawn(
        server.run(|_, _: AdminRequest| async { AdminReply::Text("again".into()) }, stopped),
    );
    client.call(&AdminRequest::Status, SOON).await.unwrap();
}

#[tokio::test]
async fn the_socket_is_closed_to_strangers_and_a_live_one_is_not_taken_over() {
    let running = start(PeerRules::new(true).allow_own_in_lab(Role::Serve), [1; 32]);
    let mode = std::fs::metadata(&running.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let error = bind(&running.path).unwrap_err();
    assert!(error.to_string().contains("another process answers"));
}
