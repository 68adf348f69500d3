//! Calls to the cells of keys.

use super::{CellCall, CellCommand, CellReply};
use crate::cache::{EndFlight, FlightCommand, FlightReply, FlightStanding, ForgetFlight, JoinFlight};

impl CellCall for JoinFlight {
    type Reply = FlightStanding;

    fn into_command(self) -> CellCommand {
        CellCommand::Flight(FlightCommand::Join(self))
    }

    fn reply(reply: CellReply) -> Option<FlightStanding> {
        if let CellReply::Flight(FlightReply::Joined(standing)) = reply {
            Some(standing)
        } else {
            None
        }
    }
}

impl CellCall for EndFlight {
    type Reply = ();

    fn into_command(self) -> CellCommand {
        CellCommand::Flight(FlightCommand::End(self))
    }

    fn reply(reply: CellReply) -> Option<()> {
        done(&reply)
    }
}

impl CellCall for ForgetFlight {
    type Reply = ();

    fn into_command(self) -> CellCommand {
        CellCommand::Flight(FlightCommand::Forget(self))
    }

    fn reply(reply: CellReply) -> Option<()> {
        done(&reply)
    }
}

fn done(reply: &CellReply) -> Option<()> {
    (*reply == CellReply::Flight(FlightReply::Done)).then_some(())
}
