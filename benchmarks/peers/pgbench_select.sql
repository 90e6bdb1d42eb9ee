\set id random(1, :rows)
select * from people where id = :id;
