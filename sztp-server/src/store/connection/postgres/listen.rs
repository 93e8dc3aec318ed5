//! Hears of what other instances write.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_postgres::AsyncMessage;

use super::super::dialect;
use super::{Options, judged};
use crate::StoreError;

/// Counts up with each change that any instance announces, and whenever some may have been missed,
/// until nobody wants to know any more.
pub(in crate::store) async fn listen(options: Arc<Options>, changes: watch::Sender<u64>) {
    loop {
        let ended = tokio::select! {
            ended = listen_once(&options, &changes) => ended,
            () = changes.closed() => return,
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "not hearing of other instances");
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = changes.closed() => return,
        }
    }
}

async fn listen_once(options: &Options, changes: &watch::Sender<u64>) -> Result<(), StoreError> {
    let (client, mut messages) = options.connect_with_messages().await?;
    let listening = async {
        client
            .batch_execute(dialect::LISTEN)
            .await
            .map_err(|error| judged(&error))?;
        // What was written before is not announced again.
        changes.send_modify(|count| *count += 1);
        std::future::pending::<Result<(), StoreError>>().await
    };
    let hearing = async {
        while let Some(message) = messages.next().await {
            if let AsyncMessage::Notification(_) = message {
                changes.send_modify(|count| *count += 1);
            }
        }
    };
    tokio::select! {
        ended = listening => ended,
        () = hearing => Err(StoreError::Unavailable {
            reason: "the connection ended".to_owned(),
        }),
    }
}

const AGAIN: Duration = Duration::from_millis(500);
