//! The last judgement: what must hold once nothing is owed any more (I2 delivered, I3 close contract, I13 recorded).

use std::sync::Arc;

use runbookd::domain::incident::{Happening, Incident};
use runbookd::domain::name::ChannelName;

use crate::truth::Kind;
use crate::world::{Place, World};

impl World {
    /// Judges a run that ended.
    pub(crate) fn judge(&mut self) {
        let open =
            self.truth.stories.iter().find(|(_, story)| {
                story.paged && story.is_on_record() && story.ends_with != Some(Kind::Over)
            });
        if let Some(((uid, channel), story)) = open {
            let what = format!("{channel} heard of {}, and last {:?}", self.name(uid), story.ends_with);
            return self.fail(3, what);
        }
        let untold = self.watch.expected.iter().find(|place| !self.is_told(place));
        if let Some((uid, channel)) = untold {
            let what = format!("{channel} never heard of {}, and nothing says why", self.name(uid));
            return self.fail(2, what);
        }
        if let Some(node) = self.node.as_ref().filter(|_| self.compares_records())
            && let Err(what) = super::restored::is_recorded(node.step.engine(), &self.disk.image)
        {
            self.fail(13, what);
        }
    }

    fn name(&self, uid: &Arc<str>) -> String {
        self.recorded(uid)
            .map_or_else(|| uid.to_string(), |incident| format!("{} ({})", incident.id, &uid[..6]))
    }

    fn recorded(&self, uid: &Arc<str>) -> Option<&Incident> {
        self.disk.image.incidents.values().find(|incident| incident.uid == *uid)
    }

    /// Whether a channel was told, or another one with the reason on the timeline.
    fn is_told(&self, place: &Place) -> bool {
        let (uid, channel) = place;
        if self.truth.stories.get(place).is_some_and(|story| story.paged) {
            return true;
        }
        let Some(incident) = self.recorded(uid) else { return false };
        let elsewhere = self
            .truth
            .stories
            .iter()
            .any(|((of, other), story)| of == uid && other != channel && story.paged);
        let says_why = |it: &ChannelName, what: &Happening| match what {
            Happening::DeliveryFailed { channel, .. } => it == channel,
            Happening::PassedOn { from, .. } => it == from,
            _ => false,
        };
        elsewhere && incident.timeline.iter().any(|entry| says_why(channel, &entry.what))
    }
}
