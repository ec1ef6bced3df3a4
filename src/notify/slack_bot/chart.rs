//! A chart in an incident's thread: Slack's three calls for a file. Owns their order; a chart that does not arrive
//! fails nothing, because the page is worth more.

use serde_json::json;

use super::{Delivery, Place};
use crate::notify::LateChart;
use crate::notify::status::exchange;

/// The most of the upload's answer that is read, in bytes.
const LARGEST_ANSWER: usize = 1024;

impl Delivery<'_> {
    /// Puts the chart into the thread of `root`, which is posted already: nobody waits for a picture.
    pub(super) async fn add_chart(&self, root: &Place, chart: Option<LateChart<'_>>) {
        let Some(chart) = chart else { return };
        let Some(png) = chart.await.filter(|png| !png.is_empty()) else { return };
        if let Err(error) = self.upload(root, &png).await {
            tracing::warn!(notice = %self.message.notice.id, error, "the chart did not get to Slack");
        }
    }

    async fn upload(&self, root: &Place, png: &[u8]) -> Result<(), String> {
        let told = |refusal: super::call::Refusal| format!("{:?}", refusal.into_attempt());
        let name = format!("{}.png", self.message.notice.facts.incident_id);
        let length = png.len().to_string();
        let fields = [("filename", name.as_str()), ("length", &length), ("alt_txt", &self.message.headline)];
        let place = self.api.form("files.getUploadURLExternal", &fields).await.map_err(told)?;
        let (Some(url), Some(file)) = (place["upload_url"].as_str(), place["file_id"].as_str()) else {
            return Err("Slack named no place for the file".to_owned());
        };
        // The place needs no token and gets none.
        let request = self.api.client.post(url).header("content-type", "image/png").body(png.to_vec());
        let answer = exchange(request, &[self.api.token], LARGEST_ANSWER).await;
        let answer = answer.map_err(|attempt| format!("{attempt:?}"))?;
        if !answer.status.is_success() {
            return Err(format!("HTTP {}: {}", answer.status.as_u16(), answer.body));
        }
        let share = json!({
            "files": [{"id": file, "title": self.message.headline}],
            "channel_id": &*root.channel,
            "thread_ts": &*root.ts,
        });
        self.api.post("files.completeUploadExternal", &share).await.map(drop).map_err(told)
    }
}
