"""The addresses of pages, by noun."""

from __future__ import annotations

from django.urls import path

from billing.views import (
    api_keys,
    audit,
    charges,
    customer,
    customers,
    demo,
    denials,
    discrepancies,
    erasures,
    events,
    gateway,
    grants,
    hold,
    holds,
    home,
    jobs,
    limit_verbs,
    limits,
    margin_alerts,
    margins,
    member,
    member_denials,
    metrics,
    money,
    outside,
    parked_messages,
    payers,
    plan_editor,
    price_change_members,
    price_change_verbs,
    price_changes,
    price_to_come,
    quarantine,
    reconciliation,
    refusals,
    seals,
    simulations,
    traces,
    unmatched,
    vendor_bills,
)

_ONE = "customers/<str:reference>"

customer_urls = [
    path("customers", customers.customers, name="customers"),
    path(_ONE, customer.customer, name="customer"),
    path(f"{_ONE}/latest", customer.customer_latest, name="customer_latest"),
    path(f"{_ONE}/charges", charges.customer_charges, name="customer_charges"),
    path(f"{_ONE}/payers", payers.customer_payers, name="customer_payers"),
    path(f"{_ONE}/payers/<str:payer_id>/<str:operation>", money.move_money, name="move_money"),
    path(f"{_ONE}/workspaces", payers.customer_workspaces, name="customer_workspaces"),
    path(f"{_ONE}/keys", api_keys.customer_keys, name="customer_keys"),
    path(f"{_ONE}/grants", grants.customer_grants, name="customer_grants"),
    path(f"{_ONE}/grants/<str:public_id>", grants.customer_grant, name="customer_grant"),
    path(f"{_ONE}/denials", denials.customer_denials, name="customer_denials"),
    path(f"{_ONE}/limits", limits.customer_limits, name="customer_limits"),
    path(f"{_ONE}/limits/new", limit_verbs.customer_limit_new, name="customer_limit_new"),
    path(f"{_ONE}/limits/<str:limit>", limit_verbs.customer_limit, name="customer_limit"),
    path(f"{_ONE}/limits/<str:limit>/end", limit_verbs.customer_limit_end, name="customer_limit_end"),
    path(f"{_ONE}/limits/<str:limit>/end/ask", limit_verbs.customer_limit_ask, name="customer_limit_ask"),
    path(f"{_ONE}/price-change", price_to_come.customer_price_change, name="customer_price_change"),
    path(
        f"{_ONE}/price-change/<str:version_id>", price_to_come.customer_price_change, name="customer_price_as"
    ),
    path(f"{_ONE}/audit", audit.customer_audit, name="customer_audit"),
]
usage_urls = [
    path("events", events.events, name="events"),
    path("events/<str:public_id>", events.event, name="event"),
    path("traces/<str:reference>/<path:name>", traces.trace, name="trace"),
]
charge_urls = [
    path("holds", holds.holds, name="holds"),
    path("holds/<str:public_id>", hold.hold, name="hold"),
    path("denials", refusals.denials, name="denials"),
    path("overspend", refusals.overspends, name="overspends"),
    path("charges", charges.charges, name="charges"),
    path("charges/<str:public_id>", charges.charge, name="charge"),
]

home_urls = [
    path("", home.home, name="home"),
    path("usage", member.member_usage, name="member_usage"),
    path("refused-calls", member_denials.member_denials, name="member_denials"),
    path("price-change", price_to_come.member_price_change, name="member_price_change"),
    path("demo", demo.demo, name="demo"),
    path("demo/<str:key>", demo.play, name="demo_play"),
]
mending_urls = [
    path("quarantine", quarantine.quarantine, name="quarantine"),
    path("quarantine/<str:reference>", quarantine.quarantined, name="quarantined"),
    path("quarantine/<str:reference>/<str:action>", quarantine.resolve, name="quarantine_resolve"),
    path("quarantine/<str:reference>/<str:action>/ask", quarantine.ask_resolve, name="quarantine_ask"),
    path("gateway", gateway.gateway, name="gateway_page"),
    path("gateway/retry", gateway.retry, name="gateway_retry"),
    path("gateway/retry/ask", gateway.ask_retry, name="gateway_retry_ask"),
    path("unmatched", unmatched.unmatched, name="unmatched"),
    path("unmatched/rerate", unmatched.rerate, name="unmatched_rerate"),
    path("unmatched/rerate/ask", unmatched.ask_rerate, name="unmatched_ask"),
]

limit_urls = [
    path("spend-limits", limits.limits, name="limits"),
    path("limits", limits.member_limits, name="member_limits"),
    path("limits/new", limit_verbs.member_limit_new, name="member_limit_new"),
    path("limits/<str:limit>", limit_verbs.member_limit, name="member_limit"),
    path("limits/<str:limit>/end", limit_verbs.member_limit_end, name="member_limit_end"),
    path("limits/<str:limit>/end/ask", limit_verbs.member_limit_ask, name="member_limit_ask"),
]

_CHANGE = "price-changes/<str:reference>"
price_change_urls = [
    path("price-changes", price_changes.price_changes, name="price_changes"),
    path("price-changes/new", price_changes.new_price_change, name="price_change_new"),
    path(_CHANGE, price_changes.price_change, name="price_change"),
    path(f"{_CHANGE}/progress", price_changes.price_change_progress, name="price_change_progress"),
    path(f"{_CHANGE}/announce", price_change_verbs.announce, name="price_change_announce"),
    path(f"{_CHANGE}/make-whole", price_change_verbs.make_whole_page, name="make_whole"),
    path(
        f"{_CHANGE}/members/<str:member>",
        price_change_members.price_change_member,
        name="price_change_member",
    ),
    path(
        f"{_CHANGE}/members/<str:member>/<str:action>",
        price_change_members.decide_member,
        name="price_change_decide",
    ),
    path(f"{_CHANGE}/<str:action>", price_change_verbs.do_verb, name="price_change_do"),
    path(f"{_CHANGE}/<str:action>/ask", price_change_verbs.ask_verb, name="price_change_ask"),
]

plan_urls = [
    path("plan-editor", plan_editor.plan_editor, name="plan_new"),
    path("plans/<str:reference>/edit", plan_editor.plan_editor, name="plan_edit"),
]
_SIMULATION = "simulations/<str:reference>"
simulation_urls = [
    path("compare-metrics", metrics.metrics, name="compare_metrics"),
    path("simulations", simulations.simulations, name="simulations"),
    path("simulations/new", simulations.new_simulation, name="simulation_new"),
    path(_SIMULATION, simulations.simulation, name="simulation"),
    path(f"{_SIMULATION}/progress", simulations.simulation_progress, name="simulation_progress"),
    path(f"{_SIMULATION}/cancel", simulations.cancel, name="simulation_cancel"),
    path(f"{_SIMULATION}/cancel/ask", simulations.ask_cancel_simulation, name="simulation_cancel_ask"),
]

_BILL = "vendor-bills/<str:reference>"
margin_urls = [
    path("margins", margins.margins, name="margins"),
    path("margins/<str:reference>", margins.margin_floor, name="margin_floor"),
    path("margins/<str:reference>/remove", margins.margin_floor_remove, name="margin_floor_remove"),
    path("margin-alerts", margin_alerts.margin_alerts, name="margin_alerts"),
    path("margin-rules/<str:reference>/end", margin_alerts.end_margin_rule, name="margin_rule_end"),
    path("margin-rules/<str:reference>/end/ask", margin_alerts.ask_end_margin_rule, name="margin_rule_ask"),
    path("vendor-bills", vendor_bills.vendor_bills, name="vendor_bills"),
    path("vendor-bills/new", vendor_bills.new_vendor_bill, name="vendor_bill_new"),
    path(_BILL, vendor_bills.vendor_bill, name="vendor_bill"),
    path(f"{_BILL}/<str:action>", vendor_bills.do_vendor_bill, name="vendor_bill_do"),
    path(f"{_BILL}/<str:action>/ask", vendor_bills.ask_vendor_bill, name="vendor_bill_ask"),
]

_DISCREPANCY = "reconciliation/discrepancies/<str:reference>"
reconciliation_urls = [
    path("reconciliation", reconciliation.reconciliation, name="reconciliation"),
    path("reconciliation/start/<str:kind>", reconciliation.run_now, name="reconciliation_start"),
    path("reconciliation/runs", reconciliation.reconciliation_runs, name="reconciliation_runs"),
    path("reconciliation/runs/<str:reference>", reconciliation.reconciliation_run, name="reconciliation_run"),
    path(
        "reconciliation/runs/<str:reference>/progress",
        reconciliation.run_progress,
        name="reconciliation_progress",
    ),
    path("reconciliation/runs/<str:reference>/cancel", reconciliation.cancel, name="reconciliation_cancel"),
    path(_DISCREPANCY, discrepancies.discrepancy, name="discrepancy"),
    path(f"{_DISCREPANCY}/change", discrepancies.change, name="discrepancy_change"),
    path(f"{_DISCREPANCY}/comment", discrepancies.add_comment, name="discrepancy_comment"),
    path(f"{_DISCREPANCY}/repair/<str:name>", discrepancies.repair, name="discrepancy_repair_page"),
    path("gateway-counts", outside.gateway_counts, name="gateway_counts"),
    path("gateway-counts/new", outside.new_gateway_counts, name="gateway_counts_new"),
    path("provider-payments", outside.provider_payments, name="provider_payments"),
    path("provider-payments/new", outside.new_provider_payments, name="provider_payments_new"),
    path("seals", seals.seals, name="seals"),
    path("seals/heads", seals.seal_heads, name="seal_heads"),
    path("seals/<str:reference>/export", seals.export_sealed, name="seal_export"),
    path("erasures", erasures.erasures, name="erasures"),
]

_JOB, _PARKED = "jobs/<str:name>", "parked-messages/<str:reference>"
job_urls = [
    path("jobs", jobs.job_list, name="jobs"),
    path(_JOB, jobs.job, name="job"),
    path(f"{_JOB}/run", jobs.run_job_now, name="job_run"),
    path(f"{_JOB}/run/ask", jobs.ask_run_job, name="job_run_ask"),
    path(_PARKED, parked_messages.parked_message, name="parked_message"),
    path(f"{_PARKED}/<str:action>", parked_messages.do_parked_message, name="parked_message_do"),
    path(f"{_PARKED}/<str:action>/ask", parked_messages.ask_parked_message, name="parked_message_ask"),
]

urlpatterns = [
    *job_urls,
    *reconciliation_urls,
    *margin_urls,
    *home_urls,
    *plan_urls,
    *simulation_urls,
    *price_change_urls,
    *mending_urls,
    *limit_urls,
    *customer_urls,
    *usage_urls,
    *charge_urls,
]
