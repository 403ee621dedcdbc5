-- Whoever is in the team that is to approve an order sees it, also who joins the team later.
CREATE INDEX order_approval_team ON tasks.order_approval (team_id) WHERE team_id IS NOT NULL;
