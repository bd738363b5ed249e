//! What the pool of an event loop and its exchanges have in common.

use std::sync::Arc;

use crate::connections::Connections;
use crate::locked;
use crate::mailbox::News;
use crate::reactor::Reactor;

/// What drives the connections of one event loop, the connections, and who is to be told of news.
pub struct Network {
    /// What drives them.
    pub reactor: Arc<Reactor>,
    /// The connections.
    pub connections: Arc<Connections>,
    /// Who is to be told.
    pub news: Arc<News>,
    /// Whose they are: not those of a process that was forked from it.
    pub process: u32,
}

impl Network {
    /// Close every connection at once; the exchanges under way fail.
    pub fn close(&self) {
        self.connections.close();
        self.reactor.close();
        self.call_if_news();
    }

    /// Have the loop tell who waits, if there are news that did not come up in a turn of its own.
    pub fn call_if_news(&self) {
        if !locked(&self.news).is_empty() {
            self.reactor.call();
        }
    }
}
