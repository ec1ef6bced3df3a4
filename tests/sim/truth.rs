//! The truth: what every channel really accepted, in the order it did. Owns the log and what must hold of it while it
//! grows (I3 the close contract, I4 duplicates, I5 order). The daemon's own records are never asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use runbookd::domain::name::{ChannelName, NoticeId};
use runbookd::domain::notice::NoticeEvent;

/// What a message means to whoever reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Something is wrong: somebody has to look.
    Page,
    /// How it goes on.
    News,
    /// It is over.
    Over,
}

impl Kind {
    pub(crate) fn of(event: &NoticeEvent, page: bool) -> Self {
        match event {
            NoticeEvent::Resolved => Self::Over,
            _ if page => Self::Page,
            _ => Self::News,
        }
    }
}

/// One thing told in a message: a digest tells several.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) uid: Arc<str>,
    pub(crate) revision: u32,
    pub(crate) kind: Kind,
    /// Whether the message also pages, whatever happened last.
    pub(crate) page: bool,
}

/// A message on its way.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) notice: NoticeId,
    pub(crate) channel: ChannelName,
    pub(crate) lines: Vec<Line>,
    /// Whether it was on record when it left.
    pub(crate) recorded: bool,
    /// Whether the daemon had been told meanwhile that it failed, or was gone.
    pub(crate) late: bool,
}

/// What one channel was told about one incident.
#[derive(Debug, Default, Clone)]
pub(crate) struct Story {
    last: Option<(u32, Kind)>,
    /// What came last, repeats included.
    pub(crate) ends_with: Option<Kind>,
    pub(crate) paged: bool,
    /// Whether a part of it was told from memory, while the store failed: a kill forgets that.
    from_memory: bool,
    /// Whether nobody can know what was heard: a page was refused at last, which may have arrived before.
    doubtful: bool,
}

impl Story {
    /// Whether all of it was on record before it left.
    pub(crate) fn is_on_record(&self) -> bool {
        !self.from_memory
    }
}

/// What all channels accepted.
#[derive(Default)]
pub(crate) struct Truth {
    pub(crate) stories: BTreeMap<(Arc<str>, ChannelName), Story>,
    accepted: BTreeSet<NoticeId>,
    repeats: BTreeMap<ChannelName, u32>,
    /// How many repeats could not be helped.
    excused: BTreeMap<ChannelName, u32>,
}

impl Truth {
    /// One more repeat on a channel cannot be helped: an answer was lost, or the daemon died before it had it on record.
    pub(crate) fn excuse(&mut self, channel: &ChannelName) {
        *self.excused.entry(channel.clone()).or_insert(0) += 1;
    }

    /// A page was finally refused that may have arrived before, or a part of a digest was: whoever was told the end
    /// without a beginning can live with it.
    pub(crate) fn doubt(&mut self, message: &Message) {
        for line in &message.lines {
            self.stories.entry((line.uid.clone(), message.channel.clone())).or_default().doubtful = true;
        }
    }

    /// Whether a notice was accepted before.
    pub(crate) fn has(&self, notice: &NoticeId) -> bool {
        self.accepted.contains(notice)
    }

    /// A channel accepts a message; says which invariant it breaks.
    pub(crate) fn accept(&mut self, message: &Message) -> Result<(), (u8, String)> {
        let channel = &message.channel;
        let repeated = !self.accepted.insert(message.notice.clone());
        // A digest may tell again what a lost answer leaves in doubt.
        let again = message.lines.iter().any(|line| {
            let story = self.stories.get(&(line.uid.clone(), channel.clone()));
            story.and_then(|story| story.last).is_some_and(|(revision, _)| revision == line.revision)
        });
        if repeated || again && !message.late {
            let repeats = self.repeats.entry(channel.clone()).or_insert(0);
            *repeats += 1;
            let excused = self.excused.get(channel).copied().unwrap_or(0);
            if *repeats > excused {
                let what =
                    format!("{channel} was told {repeats} things twice, {excused} could not be helped");
                return Err((4, what));
            }
        }
        for line in &message.lines {
            let story = self.stories.entry((line.uid.clone(), channel.clone())).or_default();
            let began = story.paged;
            story.paged |= line.page;
            story.from_memory |= !message.recorded;
            if !message.late {
                story.ends_with = Some(line.kind);
            }
            if message.late {
                continue;
            }
            if repeated {
                // The first time may have been too late to count.
                let newer = story.last.is_none_or(|(revision, _)| line.revision > revision);
                story.last = if newer { Some((line.revision, line.kind)) } else { story.last };
                continue;
            }
            let before = story.last;
            story.last = Some((line.revision, line.kind));
            if story.from_memory {
                continue;
            }
            let place = format!("{channel} about {}", line.uid);
            match before {
                Some((revision, _)) if line.revision == revision => {}
                Some((revision, _)) if line.revision < revision && !story.doubtful => {
                    let what = format!("{place}: revision {} after {revision}", line.revision);
                    return Err((5, what));
                }
                Some((_, Kind::Over)) if !line.page && !story.doubtful => {
                    return Err((3, format!("{place}: {:?} after the all-clear", line.kind)));
                }
                None if !line.page && !began && !story.doubtful => {
                    return Err((3, format!("{place}: {:?} without a beginning", line.kind)));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
