//! Works on one object: feeds its machine, and carries out what the machine asks for.
//!
//! One worker at a time per object, one step at a time per machine, so the cycles of an object never overlap (W-CYC-001).

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;
use jiff::Timestamp;
use kopf_core::{
    error::ErrorInfo,
    machine::{Answer, Call, CallId, Input, Output, Request, RequestId},
    object::Object,
    plan::Plan,
};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::{
    answers,
    door::{BoxFuture, Finished, Record},
    error::RunError,
    log::{Logger, logger},
    mailbox::Mailbox,
    objects::{Life, Objects},
    pending::Pending,
};

/// The worker of one object.
pub(crate) struct Worker {
    objects: Arc<Objects>,
    key: Arc<str>,
    /// None only while a step is under way elsewhere, and after the object's end.
    life: Option<Box<Life>>,
    /// Where its events come in.
    mailbox: Arc<Mailbox>,
    /// The object as the last event showed it.
    object: Option<Object>,
    calls: Pending<CallId, Finished>,
    requests: Pending<RequestId, Answer>,
    wake_at: Option<Timestamp>,
    stopping: bool,
    permit: Option<OwnedSemaphorePermit>,
}

/// What a worker does next.
enum Next {
    /// In a box: what lives across an `await` makes the task of each object larger.
    Step(Box<Input>),
    /// Nothing is left to do or to wait for.
    Retire,
    /// What runs is to be cancelled.
    Kill,
}

/// A step of the machine, with what it works on.
enum Step {
    Done(Stepped),
    AtDoor(BoxFuture<Option<Stepped>>),
}

type Stepped = (Box<Life>, Vec<Output>);

impl Worker {
    pub(crate) fn new(objects: Arc<Objects>, key: Arc<str>, life: Box<Life>, mailbox: Arc<Mailbox>) -> Self {
        Self {
            objects,
            key,
            life: Some(life),
            mailbox,
            object: None,
            calls: Pending::new(),
            requests: Pending::new(),
            wake_at: None,
            stopping: false,
            permit: None,
        }
    }

    /// Works until there is nothing left to do. A panic here is a defect of ours: it ends the operator (W-QUE-007).
    #[expect(
        clippy::manual_async_fn,
        reason = "it would keep the worker twice, in a task for each event of an idle object: beyond a kilobyte they are dear"
    )]
    pub(crate) fn run(mut self) -> impl Future<Output = ()> + Send {
        async move {
            if let Err(panic) = AssertUnwindSafe(self.work()).catch_unwind().await {
                self.fail(&panic_text(panic.as_ref()));
            }
            self.objects.ended();
        }
    }

    async fn work(&mut self) {
        loop {
            match self.next().await {
                Next::Step(input) => {
                    self.take_permit().await;
                    let Some(life) = self.life.take() else { continue };
                    let plan = self.objects.plans.current();
                    let step = self.begin(life, *input, &plan);
                    if self.step(step, &plan).await.is_none() {
                        return self.fail("a step was abandoned by the door");
                    }
                }
                Next::Retire => {
                    self.permit = None;
                    // Nothing is under way that could ever wake it: only at the stop that is as it should be.
                    if !self.stopping && self.life.as_ref().is_some_and(|life| !life.machine.accepts_events())
                    {
                        return self.fail("an object waits for nothing");
                    }
                    match self.objects.retire(&self.key, &self.mailbox, self.life.take()) {
                        Ok(()) => return,
                        Err(life) => self.life = life,
                    }
                }
                Next::Kill => return self.kill().await,
            }
        }
    }

    /// Waits for what comes next.
    async fn next(&mut self) -> Next {
        loop {
            let objects = self.objects.clone();
            if objects.stop.is_cancelled() {
                if objects.kill.is_cancelled() {
                    return Next::Kill;
                }
                if !std::mem::replace(&mut self.stopping, true) {
                    return Next::Step(Box::new(Input::Stop));
                }
            }
            if let Some(input) = self.next_event() {
                return Next::Step(Box::new(input));
            }
            let busy = self.is_busy();
            if !busy && (self.stopping || self.wake_at.is_none()) {
                return Next::Retire;
            }
            // A sleeping object takes nobody's place (unlike W-TCH-016).
            let _sleeping = (!busy).then(|| {
                self.permit = None;
                objects.sleep()
            });
            let tick = self.wake_at.map(|time| objects.shop.clock.instant(time));
            // Nothing is cancelled before the stop.
            let end = if self.stopping { &objects.kill } else { &objects.stop };
            tokio::select! {
                Some((call, finished)) = self.calls.next() => {
                    return Next::Step(Box::new(input_of(call, finished)));
                }
                Some((request, answer)) = self.requests.next() => {
                    return Next::Step(Box::new(Input::Answered { request, answer }));
                }
                () = sleep_until(tick) => {
                    self.wake_at = None;
                    return Next::Step(Box::new(Input::Tick));
                }
                () = self.mailbox.filled() => {}
                () = end.cancelled() => {}
            }
        }
    }

    /// The next event, if the machine takes one now.
    fn next_event(&mut self) -> Option<Input> {
        if self.stopping {
            return None;
        }
        if self.life.as_ref().is_some_and(|life| !life.machine.accepts_events()) {
            return None;
        }
        let (event, more_queued) = self.mailbox.pop()?;
        self.life.get_or_insert_with(|| self.objects.begin_life());
        self.object = Some(event.object.clone());
        Some(Input::Event { event_type: event.event_type, object: event.object, more_queued })
    }

    fn is_busy(&self) -> bool {
        !self.calls.is_empty() || !self.requests.is_empty()
    }

    async fn take_permit(&mut self) {
        if let Some(limit) = self.objects.limit.clone().filter(|_| self.permit.is_none()) {
            // The semaphore is never closed.
            self.permit = limit.acquire_owned().await.ok();
        }
    }

    /// One step of the machine. None if nobody has ended it: the worker cannot go on.
    async fn step(&mut self, step: Step, plan: &Arc<Plan>) -> Option<()> {
        let (life, outputs) = match step {
            Step::Done(stepped) => stepped,
            Step::AtDoor(stepping) => stepping.await?,
        };
        self.life = Some(life);
        for output in outputs {
            self.carry_out(output, plan);
        }
        Some(())
    }

    /// Begins a step, which is done already, unless it may call the door's code.
    fn begin(&mut self, mut life: Box<Life>, input: Input, plan: &Arc<Plan>) -> Step {
        for version in self.mailbox.observed() {
            life.machine.observe(&version);
        }
        let now = self.objects.shop.clock.now();
        if !plan.has_plugins() && !life.machine.has_plugins() {
            let outputs = step_or_fail(&mut life, input, now, plan);
            return Step::Done((life, outputs));
        }
        let (result, done) = oneshot::channel();
        let planned = plan.clone();
        let step = move || {
            let outputs = step_or_fail(&mut life, input, now, &planned);
            // The worker may be gone: then nobody is there to care.
            drop(result.send((life, outputs)));
        };
        let stepping = self.objects.shop.door.step(Box::new(step));
        Step::AtDoor(Box::pin(async move {
            stepping.await;
            done.await.ok()
        }))
    }

    fn carry_out(&mut self, output: Output, plan: &Arc<Plan>) {
        match output {
            Output::Call(call) => self.call(call, plan),
            Output::Cancel(id) => self.cancel(id),
            Output::Request(request) => self.request(&request, plan),
            Output::Log(log) => {
                if let Some(object) = self.object.clone().filter(|_| self.objects.shop.door.wants(log.level))
                {
                    self.objects.shop.door.log(Record::Object { object, log });
                }
            }
            Output::Post(post) => {
                if let Some(object) = &self.object {
                    self.objects.shop.poster.progress(object, &post);
                }
            }
            Output::WakeAt(time) => self.wake_at = Some(time),
            Output::Forget => {
                if let Some(life) = self.life.take() {
                    self.objects.shop.door.forget(life.object_id);
                }
                self.wake_at = None;
            }
        }
    }

    /// Begins a call. The machine begins the next one when it has ended.
    fn call(&mut self, call: Call, plan: &Arc<Plan>) {
        self.calls.push(call.id, self.objects.shop.door.call(&plan.resource, call));
    }

    fn cancel(&mut self, id: CallId) {
        if let Some(life) = self.life.as_ref().filter(|_| self.calls.contains(id)) {
            self.objects.shop.door.cancel(life.object_id, id);
        }
    }

    fn request(&mut self, request: &Request, plan: &Arc<Plan>) {
        let Some(object) = self.object.clone() else { return };
        let prepared = answers::prepare(&plan.resource, &object, request);
        let api = self.objects.shop.api.clone();
        let logger = Logger::object(&self.objects.shop.door, &object);
        let answering = async move {
            let result = match prepared {
                Ok(request) => api.json(&request, &logger).await,
                Err(error) => Err(error),
            };
            answers::answer(result)
        };
        self.requests.push(request.id, Box::pin(answering));
    }

    /// Cancels what runs and waits for its end; nothing of it is stored, so it runs again after a restart (W-PRC-014).
    async fn kill(&mut self) {
        self.requests.clear();
        if let Some(life) = &self.life {
            for call in self.calls.keys() {
                self.objects.shop.door.cancel(life.object_id, call);
            }
        }
        while self.calls.next().await.is_some() {}
        drop(self.objects.retire(&self.key, &self.mailbox, self.life.take()));
    }

    fn fail(&mut self, reason: &str) {
        if self.objects.kill.is_cancelled() || self.objects.stop.is_cancelled() {
            return;
        }
        let shop = &self.objects.shop;
        Logger::new(&shop.door, logger::QUEUEING).exception(
            format_args!("Event processing has failed with an unrecoverable error for {}.", self.key),
            ErrorInfo::new(reason),
        );
        // If the channel is full, the operator is ending already.
        drop(shop.fatal.try_send(RunError::Worker(reason.to_owned())));
    }
}

fn input_of(call: CallId, finished: Finished) -> Input {
    let Finished { outcome, patch, subrefs } = finished;
    Input::Finished { call, outcome, patch, subrefs }
}

fn step_or_fail(life: &mut Life, input: Input, now: Timestamp, plan: &Arc<Plan>) -> Vec<Output> {
    match life.machine.step(input, now, plan) {
        Ok(outputs) => outputs,
        Err(error) => life.machine.fail(error, now, plan),
    }
}

async fn sleep_until(time: Option<tokio::time::Instant>) {
    match time {
        // In a box, as most objects never wait for a time.
        Some(time) => Box::pin(tokio::time::sleep_until(time)).await,
        None => std::future::pending().await,
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".into())
}
