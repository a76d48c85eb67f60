//! Whether X-Ray takes the installation's traces.

use aws_sdk_xray::types::{TraceSegmentDestination, TraceSegmentDestinationStatus};
use runtime::arn::partition;
use serde_json::json;

use super::Place;
use super::finding::Findings;

/// The value of the parameter `TraceEndpoint` with which traces go to X-Ray.
const XRAY: &str = "xray";

/// Traces that come by OTLP, X-Ray takes only where Transaction Search is on. Source: CloudWatch user guide, 'Enable Transaction
/// Search'.
pub(super) async fn look(place: &Place<'_>, findings: &mut Findings) {
    if place.installation.parameter("TraceEndpoint") != Some(XRAY) {
        return;
    }
    let home = place.account.home();
    let client = aws_sdk_xray::Client::new(&place.account.sdk(home));
    let what = format!("where X-Ray in {home} puts traces");
    let found = client.get_trace_segment_destination().send().await;
    let found = findings.look(&what, "xray:GetTraceSegmentDestination", "*", found).found();
    let Some(found) = found else { return };
    match (found.destination(), found.status()) {
        (Some(TraceSegmentDestination::CloudWatchLogs), Some(TraceSegmentDestinationStatus::Pending)) => findings
            .warning(
                format!("Transaction Search is being turned on in {home}: until then X-Ray refuses traces"),
                "nothing: it takes some minutes. Traces that were refused lie in TraceDeadLetters after an hour",
            ),
        (Some(TraceSegmentDestination::CloudWatchLogs), _) => {
            findings.ok(format!("X-Ray in {home} takes traces (TraceEndpoint)"));
        }
        _ => findings.error(
            format!(
                "X-Ray in {home} refuses the traces that TraceEndpoint=xray sends: Transaction Search is not on there"
            ),
            turn_on(home, place.number),
        ),
    }
}

/// The commands that turn it on: X-Ray must be allowed to write into the log groups first.
fn turn_on(region: &str, account: &str) -> String {
    let partition = partition(region);
    let group = |name: &str| format!("arn:{partition}:logs:{region}:{account}:log-group:{name}:*");
    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow",
        "Principal": {"Service": "xray.amazonaws.com"},
        "Action": "logs:PutLogEvents",
        "Resource": [group("aws/spans"), group("/aws/application-signals/data")],
        "Condition": {
            "ArnLike": {"aws:SourceArn": format!("arn:{partition}:xray:{region}:{account}:*")},
            "StringEquals": {"aws:SourceAccount": account},
        },
    }]});
    format!(
        "aws logs put-resource-policy --region {region} --policy-name TransactionSearch --policy-document '{policy}' && \
         aws xray update-trace-segment-destination --region {region} --destination CloudWatchLogs"
    )
}
