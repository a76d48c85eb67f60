//! What a count of requests does not tell: the units that DynamoDB charges, how many events a request puts on a bus, and of which
//! executions a request names items.

use aws_sdk_dynamodb::operation::batch_get_item::{BatchGetItemInput, BatchGetItemOutput};
use aws_sdk_dynamodb::operation::delete_item::{DeleteItemInput, DeleteItemOutput};
use aws_sdk_dynamodb::operation::get_item::{GetItemInput, GetItemOutput};
use aws_sdk_dynamodb::operation::query::{QueryInput, QueryOutput};
use aws_sdk_dynamodb::operation::transact_write_items::{TransactWriteItemsInput, TransactWriteItemsOutput};
use aws_sdk_dynamodb::operation::update_item::{UpdateItemInput, UpdateItemOutput};
use aws_sdk_dynamodb::types::{AttributeValue, ConsumedCapacity, ReturnConsumedCapacity, TransactWriteItem};
use aws_sdk_eventbridge::operation::put_events::PutEventsInput;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    AfterDeserializationInterceptorContextRef, BeforeSerializationInterceptorContextMut, Input,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

use super::Calls;

/// An interceptor of the clients of DynamoDB and EventBridge that counts units, events and executions.
#[derive(Debug)]
pub(crate) struct CountUnits(pub(crate) Calls);

type Key = std::collections::HashMap<String, AttributeValue>;

impl CountUnits {
    fn keys<'a>(&self, keys: impl IntoIterator<Item = &'a Key>) {
        for partition in keys.into_iter().filter_map(|key| key.get("pk")) {
            if let AttributeValue::S(partition) = partition {
                self.0.item(partition);
            }
        }
    }

    /// Notes which items are named, and asks what they cost.
    fn ask(&self, input: &mut Input) {
        let total = Some(ReturnConsumedCapacity::Total);
        if let Some(it) = input.downcast_mut::<GetItemInput>() {
            self.keys(&it.key);
            it.return_consumed_capacity = total;
        } else if let Some(it) = input.downcast_mut::<BatchGetItemInput>() {
            self.keys(it.request_items.iter().flat_map(|tables| tables.values()).flat_map(|table| &table.keys));
            it.return_consumed_capacity = total;
        } else if let Some(it) = input.downcast_mut::<UpdateItemInput>() {
            self.keys(&it.key);
            it.return_consumed_capacity = total;
        } else if let Some(it) = input.downcast_mut::<DeleteItemInput>() {
            self.keys(&it.key);
            it.return_consumed_capacity = total;
        } else if let Some(it) = input.downcast_mut::<TransactWriteItemsInput>() {
            self.keys(it.transact_items.iter().flatten().filter_map(key));
            it.return_consumed_capacity = total;
        } else if let Some(it) = input.downcast_mut::<QueryInput>() {
            it.return_consumed_capacity = total;
        } else if let Some(it) = input.downcast_ref::<PutEventsInput>() {
            self.0.events(it.entries.as_ref().map_or(0, Vec::len));
        }
    }

    fn reads<'a>(&self, consumed: impl IntoIterator<Item = &'a ConsumedCapacity>) {
        self.0.units(consumed.into_iter().filter_map(ConsumedCapacity::capacity_units).sum(), 0.0);
    }

    fn writes<'a>(&self, consumed: impl IntoIterator<Item = &'a ConsumedCapacity>) {
        self.0.units(0.0, consumed.into_iter().filter_map(ConsumedCapacity::capacity_units).sum());
    }
}

fn key(write: &TransactWriteItem) -> Option<&Key> {
    let update = write.update().map(|it| &it.key);
    let delete = write.delete().map(|it| &it.key);
    update.or(delete).or(write.condition_check().map(|it| &it.key))
}

#[dyn_dispatch_hint]
impl Intercept for CountUnits {
    fn name(&self) -> &'static str {
        "CountUnits"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.ask(context.input_mut());
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Ok(output) = context.output_or_error() else { return Ok(()) };
        if let Some(it) = output.downcast_ref::<GetItemOutput>() {
            self.reads(it.consumed_capacity());
        } else if let Some(it) = output.downcast_ref::<BatchGetItemOutput>() {
            self.reads(it.consumed_capacity());
        } else if let Some(it) = output.downcast_ref::<QueryOutput>() {
            self.reads(it.consumed_capacity());
        } else if let Some(it) = output.downcast_ref::<UpdateItemOutput>() {
            self.writes(it.consumed_capacity());
        } else if let Some(it) = output.downcast_ref::<DeleteItemOutput>() {
            self.writes(it.consumed_capacity());
        } else if let Some(it) = output.downcast_ref::<TransactWriteItemsOutput>() {
            self.writes(it.consumed_capacity());
        }
        Ok(())
    }
}
