-- What a report needs, made of the tables that scan.py writes. Statements run in order.
-- Parameters are session variables: gap_s, gap_intervals, step_s.

-- The order of records is that of files and lines: clocks may jump. A device that boots begins
-- its monotonic clock anew.
create table beats as
with all_beats as (
    select device, file, line, t, mono, sync from performance
    union all
    select device, file, line, t, mono, sync from status
), marked as (
    select *, coalesce(mono < lag(mono) over by_device - 1, false) as boots
    from all_beats
    window by_device as (partition by device order by file, line)
)
select *, sum(boots::int) over (
    partition by device order by file, line rows unbounded preceding
) as boot
from marked;

-- What a clock showed before it was set is corrected by what it showed in the same boot afterwards.
create table boots as
select device, boot, arg_min(t - mono, file * 1e9 + line) filter (sync = 1) as offset_s
from beats group by device, boot;

create table records as
with timed as (
    select p.*, b.boot, if(p.sync = 1, p.t, coalesce(p.mono + o.offset_s, p.t)) as moment,
        o.offset_s is not null as is_timed
    from performance p
    join beats b using (device, file, line)
    join boots o on o.device = b.device and o.boot = b.boot
), follows as (
    select *,
        lag(moment) over by_device as at_before,
        lag(mono) over by_device as mono_before,
        lag(t) over by_device as t_before,
        lag(sync) over by_device as sync_before,
        lag(is_timed) over by_device as timed_before,
        coalesce(boot <> lag(boot) over by_device, false) as is_boot,
        abs((mono - up_s) - lag(mono - up_s) over by_device) > 2 as is_other_start
    from timed
    window by_device as (partition by device order by file, line)
), held as (
    select *,
        case
            when not is_boot then mono - interval_s - mono_before
            when is_timed and timed_before then moment - interval_s - at_before
        end as silent_s
    from follows
)
select *,
    not is_boot and coalesce(is_other_start, false) as is_restart,
    coalesce(silent_s > greatest(getvariable('gap_s'), getvariable('gap_intervals') * interval_s), false)
        as is_gap,
    case when not is_boot and abs((t - mono) - (t_before - mono_before)) > getvariable('step_s')
        then (t - mono) - (t_before - mono_before) end as step_s,
    period_of(moment) as period
from held;

-- One row for each condition that is met for a while. It is known at the moments of records: it
-- began at the first that tells it, and ended at the first that does not; where the device was
-- silent or booted in between, at the last that told it.
create table episodes as
with flags as (
    unpivot (
        select device, file, line, moment, mono, period, is_boot or is_gap as is_broken,
            under_voltage, frequency_capped, throttled, soft_temperature_limit
        from records
    ) on under_voltage, frequency_capped, throttled, soft_temperature_limit
    into name condition value is_met
), ends as (
    select *,
        not coalesce(lag(is_met = 1) over by_condition, false) or is_broken as begins,
        if(lead(is_broken) over by_condition is false, lead(mono) over by_condition, mono) as until_mono
    from flags
    window by_condition as (partition by device, condition order by file, line)
), numbered as (
    select *, sum((begins and is_met = 1)::int) over (
        partition by device, condition order by file, line rows unbounded preceding
    ) as number
    from ends
)
select device, condition, min(moment) as begin_at, max(until_mono) - min(mono) as length_s,
    arg_min(period, mono) as period
from numbered where is_met = 1
group by device, condition, number;

-- Histograms are kept by chunk, a quarter of an hour that belongs to one period.
create table chunks as
select device, file, chunk, min(moment) as moment, arg_min(period, line) as period
from records group by device, file, chunk;
